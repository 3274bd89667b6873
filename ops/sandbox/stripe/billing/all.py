"""All resources of billing."""

from __future__ import annotations

from dataclasses import dataclass

from ops.sandbox.stripe.billing.balances import CustomerBalance
from ops.sandbox.stripe.billing.clocks import TestClocks
from ops.sandbox.stripe.billing.collection import Collection, InvoicePayments
from ops.sandbox.stripe.billing.course import Course
from ops.sandbox.stripe.billing.credit_notes import CreditNotes
from ops.sandbox.stripe.billing.cycles import Cycles
from ops.sandbox.stripe.billing.invoices import Invoices
from ops.sandbox.stripe.billing.item_routes import SubscriptionItems
from ops.sandbox.stripe.billing.items import InvoiceItems
from ops.sandbox.stripe.billing.previews import Previews
from ops.sandbox.stripe.billing.schedules import Schedules
from ops.sandbox.stripe.billing.sub_items import Items
from ops.sandbox.stripe.billing.subscriptions import Subscriptions
from ops.sandbox.stripe.catalogue.prices import Prices
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource


@dataclass(frozen=True)
class Billing:
    """The resources, and that of subscriptions, which others use."""

    resources: list[Resource]
    subscriptions: Subscriptions


def billing(desk: Desk) -> Billing:
    """Return the resources; one of them may use another."""
    collection, prices = Collection(desk), Prices(desk)
    waiting, invoices = InvoiceItems(desk, prices), Invoices(desk, collection)
    items = Items(desk, prices, waiting)
    subscriptions = Subscriptions(desk, Cycles(desk, invoices, items), items)
    schedules = Schedules(desk, subscriptions)
    Course(desk, subscriptions.cycles, schedules)
    resources = [
        waiting,
        Previews(desk, subscriptions, waiting),
        invoices,
        subscriptions,
        SubscriptionItems(desk, subscriptions),
        schedules,
        TestClocks(desk, subscriptions.cycles, schedules),
        InvoicePayments(desk),
        CustomerBalance(desk),
        CreditNotes(desk, collection),
    ]
    return Billing(resources, subscriptions)
