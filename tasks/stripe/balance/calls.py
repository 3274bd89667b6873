"""The reads of the balance and of payouts.

https://docs.stripe.com/api/balance, https://docs.stripe.com/api/payouts
"""

from typing import Any

from app.platform import Json
from tasks.stripe.client import api


def read_balance() -> Json:
    """The balance of the account."""
    return api().perform("balance.retrieve", lambda v1: v1.balance.retrieve(), repeatable=True)


def read_payout(payout: str) -> Json:
    """One payout."""
    return api().perform(
        "payouts.retrieve", lambda v1: v1.payouts.retrieve(payout), repeatable=True
    )


def list_payouts(params: Any) -> Json:
    """A page of payouts, the newest first: {data, has_more}."""
    return api().perform("payouts.list", lambda v1: v1.payouts.list(params), repeatable=True)


def list_transactions(params: Any) -> Json:
    """A page of balance transactions, the newest first: {data, has_more}."""
    return api().perform(
        "balance_transactions.list",
        lambda v1: v1.balance_transactions.list(params),
        repeatable=True,
    )
