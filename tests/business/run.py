"""A run: a subscription business, day by day; the ledger is compared daily and at the end audited.

At the end the sandbox's books are falsified, and each planted fault must be found and named.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.business.audit import Audit, told
from tests.business.place import Json, Place
from tests.business.plan import RATES, Plan, Trouble
from tests.business.shop import Shop, client_of

SETTLEMENT = "usd"
_DAY = 86_400
_LATE_SECONDS = 0.5


@dataclass
class Report:
    """What a run has done and found; it is good if nothing is left to explain."""

    customers: int
    days: int
    acts: dict[str, int] = field(default_factory=dict)
    fates: dict[str, int] = field(default_factory=dict)
    movements: int = 0
    webhooks: dict[str, int] = field(default_factory=dict)
    explained: int = 0
    unexplained: list[str] = field(default_factory=list)
    uneven: list[str] = field(default_factory=list)
    planted: list[str] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    balances: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether every difference was explained, the books are even, and the planted was found."""
        return bool(self.planted) and not (self.unexplained or self.uneven or self.not_found)


def run(place: Place, plan: Plan) -> Report:
    """Run the business at a place whose books are empty."""
    began = time.monotonic()
    client = client_of(place.stripe_url, place.stripe_key)
    shop = Shop(client)
    audit = Audit(place, shop)
    days = plan.days
    place.control("PUT", "/settings", _settings(days))
    if not 2 <= datetime.fromtimestamp(place.now(), UTC).hour < 22:
        # A day is compared when the next one is an hour old, so that near midnight one more day is
        # open than the report expects.
        place.advance(4)
    report = Report(len(plan.customers), days)
    report.fates = dict(Counter(str(each.fate) for each in plan.customers))
    for day in range(days):
        _disturb(place, shop, plan.troubles[day])
        for number, act in plan.acts[day]:
            shop.do(act, plan.customers[number])
        shop.answer(plan.customers)
        place.advance(24)
        place.control("DELETE", "/faults")
        audit.look()
    report.seconds["days"] = round(time.monotonic() - began, 1)
    report.uneven = audit.uneven()
    audit.look()
    report.balances = place.balances()
    report.acts, report.explained = shop.done, audit.explained
    report.unexplained = audit.unexplained
    books = place.control("GET", "/stripe/books")["currencies"]
    report.movements = sum(line["count"] for page in books.values() for line in page.values())
    deliveries = place.control("GET", "/webhooks")["deliveries"]
    report.webhooks = dict(Counter(each["state"] for each in deliveries))
    _plant(place, client, report)
    report.uneven += audit.risks()
    report.seconds["in all"] = round(time.monotonic() - began, 1)
    return report


def _settings(days: int) -> Json:
    slow = _DAY if days < 10 else 3 * _DAY
    return {
        "stripe.settlement_currency": SETTLEMENT,
        "stripe.exchange_rates": RATES,
        "stripe.automatic_payouts": True,
        "stripe.dispute_seconds": slow,
        "stripe.refund_turn_seconds": slow,
    }


def _disturb(place: Place, shop: Shop, trouble: Trouble) -> None:
    """Plan what happens to the webhooks of a day."""
    kinds: dict[str, Json] = {"drop": {}, "double": {}, "delay": {"seconds": _LATE_SECONDS}}
    chosen = {"drop": trouble.lost, "double": trouble.doubled, "delay": trouble.late}
    for kind, numbers in chosen.items():
        for number in numbers:
            if number in shop.ids:
                _fault(place, f"{kind}_webhook", match=shop.ids[number], count=-1, **kinds[kind])
    _fault(place, "drop_webhook", operation="refund.created")
    _fault(place, "double_webhook", operation="charge.dispute.*")
    _fault(place, "delay_webhook", operation="refund.*", seconds=_LATE_SECONDS)


def _fault(place: Place, kind: str, **more: Any) -> None:
    place.control("POST", "/faults", {"vendor": "stripe", "kind": kind, **more})


def _plant(place: Place, client: Any, report: Report) -> None:
    """Falsify Stripe's books in three ways, and see what the next comparison says.

    A new payment is stated with another amount, another is not stated at all, and an old one, whose
    day was compared long ago, is gone.
    """
    changed, lost = _pay(client, 4321), _pay(client, 5432)
    old = next(
        each
        for each in reversed(client.v1.balance_transactions.list({"limit": 100}).data)
        if each.currency == "gbp" and each.type == "charge"
    )
    day = datetime.fromtimestamp(place.now(), UTC).date()
    for transaction, amount in (
        (changed.balance_transaction, changed.amount + 7),
        (lost.balance_transaction, None),
        (old.id, None),
    ):
        wrong = {"transaction": transaction, "amount": amount}
        place.control("POST", "/stripe/falsify", wrong)
    place.advance(26)
    wanted = {
        ("other_amount", f"stripe:{changed.id}:capture", 7),
        ("missing_there", f"stripe:{lost.id}:capture", -lost.amount),
        ("balance", f"stripe:{day}:balance GBP", -old.net),
    }
    found = {(each["kind"], each["about"], _gap(each)): told(each) for each in place.differences()}
    report.planted = [found[each] for each in wanted if each in found]
    report.not_found = [f"{each} was planted, and not found" for each in wanted - found.keys()]
    report.not_found += [f"{found[each]} was not planted" for each in found.keys() - wanted]


def _pay(client: Any, amount: int) -> Any:
    """The charge of a payment in pounds."""
    given = {
        "amount": amount,
        "currency": "gbp",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    return client.v1.charges.retrieve(client.v1.payment_intents.create(given).latest_charge)


def _gap(difference: Json) -> int:
    """By how much Stripe's side is more than ours."""
    sides = (difference["theirs"], difference["ours"])
    theirs, ours = (0 if side is None else int(side["amount"]) for side in sides)
    return theirs - ours
