"""All resources of subscriptions."""

from __future__ import annotations

from dataclasses import dataclass

from ops.sandbox.stripe.billing.all import Billing
from ops.sandbox.stripe.catalogue.prices import Prices
from ops.sandbox.stripe.metering.meters import Meters
from ops.sandbox.stripe.metering.usage import MeterEvents
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.clocks import TestClocks
from ops.sandbox.stripe.subscribing.course import Course
from ops.sandbox.stripe.subscribing.cycles import Cycles
from ops.sandbox.stripe.subscribing.item_routes import SubscriptionItems
from ops.sandbox.stripe.subscribing.items import Items
from ops.sandbox.stripe.subscribing.previews import Previews
from ops.sandbox.stripe.subscribing.retries import Retries
from ops.sandbox.stripe.subscribing.schedules import Schedules
from ops.sandbox.stripe.subscribing.subscriptions import Subscriptions


@dataclass(frozen=True)
class Subscribing:
    """The resources, and that of subscriptions, which checkout uses."""

    resources: list[Resource]
    subscriptions: Subscriptions


def subscribing(desk: Desk, billed: Billing) -> Subscribing:
    """Return the resources; they put what they sell on invoices."""
    items = Items(desk, Prices(desk), billed.items)
    subscriptions = Subscriptions(desk, Cycles(desk, billed.invoices, items), items)
    schedules = Schedules(desk, subscriptions)
    retries = Retries(desk, subscriptions.cycles)
    Course(desk, subscriptions.cycles, schedules, retries)
    resources: list[Resource] = [
        Previews(desk, subscriptions, billed.items),
        subscriptions,
        SubscriptionItems(desk, subscriptions),
        schedules,
        TestClocks(desk, subscriptions.cycles, schedules, retries),
        Meters(desk),
        MeterEvents(desk),
    ]
    return Subscribing(resources, subscriptions)
