"""All resources of this package."""

from __future__ import annotations

from ops.sandbox.stripe.connected.accounts import Accounts
from ops.sandbox.stripe.connected.cash import CashBalances
from ops.sandbox.stripe.connected.identity import Verifications
from ops.sandbox.stripe.connected.transfers import Topups, Transfers
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource


def connected(desk: Desk) -> list[Resource]:
    """Return the resources."""
    return [Accounts(desk), Transfers(desk), Topups(desk), CashBalances(desk), Verifications(desk)]
