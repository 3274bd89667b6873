"""The books of the imitated Stripe account: balance transactions and what they sum to.

Invariant: every movement of money is one balance transaction, in the transaction of its cause, and
the balance is nothing but their sum. Amounts are in minor units of the settlement currency.
https://docs.stripe.com/reports/balance-transaction-types, /reports/reporting-categories
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ops.sandbox.box import Box, token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import currencies
from ops.sandbox.stripe.events import Events
from ops.sandbox.stripe.money.clock import Clock

KIND = "balance_transaction"
DAY = 86400
_RELEASE = "release_funds"


class Ledger:
    """Writes balance transactions, and makes their funds available when their day has come."""

    def __init__(self, box: Box, events: Events, clock: Clock) -> None:
        self._settings, self._store = box.settings, box.store
        self._events, self._clock = events, clock
        self.on_release: list[Callable[[], None]] = []
        """Called when funds have become available."""
        clock.does(_RELEASE, self._release)

    def settled(self, amount: int, currency: str) -> tuple[int, str, Decimal | None]:
        """Return an amount in its settlement currency, which that is, and the exchange rate.

        A currency is settled in itself (None for the rate) unless it has a rate in the settings.
        Those are the prices of a whole unit; the returned rate is of amounts in minor units.
        """
        into = self._settings.text("stripe.settlement_currency")
        rate = rates(self._settings.text("stripe.exchange_rates")).get(currency)
        if rate is None or into == currency:
            return amount, currency, None
        shift = currencies.decimals(into) - currencies.decimals(currency)
        return currencies.converted(amount, currency, into, rate), into, rate.scaleb(shift)

    def fee(self, settled: int) -> int:
        """Return the fee for a charge, rounded half up."""
        percent = Decimal(str(self._settings.number("stripe.fee_percent")))
        exact = settled * percent / 100 + Decimal(str(self._settings.number("stripe.fee_fixed")))
        return int(exact.quantize(Decimal(1), ROUND_HALF_UP))

    def charge(self, charge: Json, amount: int, is_at_once: bool = False) -> Json:
        """Book a charge with its fee; its funds are available after days, or at once."""
        fee = self.fee(self.settled(amount, charge["currency"])[0])
        days = 0.0 if is_at_once else self._settings.number("stripe.available_days")
        booked = self.book(charge, "charge", "charge", amount, fee=fee, days=days)
        if is_at_once:
            self._events.tell(None, "balance.available", self.balance())
        return booked

    def book(
        self,
        source: Json,
        type_: str,
        category: str,
        amount: int,
        *,
        fee: int = 0,
        days: float = 0.0,
        **more: Any,
    ) -> Json:
        """Write a balance transaction for an amount in the currency of its source object.

        `fee` is in minor units of the settlement currency; `days` is until the funds are available.
        """
        settled, currency, rate = self.settled(amount, source["currency"])
        more |= {"currency": currency, "exchange_rate": None if rate is None else float(rate)}
        return self.book_settled(source, type_, category, settled, fee=fee, days=days, **more)

    def book_settled(
        self,
        source: Json,
        type_: str,
        category: str,
        amount: int,
        *,
        fee: int = 0,
        days: float = 0.0,
        **more: Any,
    ) -> Json:
        """Write a balance transaction for an amount in the settlement currency already.

        That currency is the source's, unless `currency` is given.
        """
        currency = str(more.get("currency", source["currency"]))
        created = self._clock.now()
        available_on = created
        if days:
            available_on = -(-int(created + days * DAY) // DAY) * DAY
            self._clock.plan(_RELEASE, str(available_on), available_on)
        transaction: Json = {
            "id": f"txn_3{token62(23)}",
            "object": KIND,
            "amount": amount,
            "available_on": available_on,
            "balance_type": "payments",
            "created": created,
            "currency": currency,
            "description": source.get("description"),
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [_fee_detail(fee, currency, type_)] if fee else [],
            "net": amount - fee,
            "reporting_category": category,
            "source": source["id"],
            "status": "pending" if days else "available",
            "type": type_,
        }
        transaction |= more
        self._store.put(KIND, transaction["id"], transaction)
        return transaction

    def all(self) -> list[Json]:
        """Return all balance transactions, newest first."""
        return [row.body for row in self._store.query(KIND)]

    def sums(self, status: str) -> dict[str, int]:
        """Return the net sum of each currency's transactions that are `pending` or `available`."""
        totals: dict[str, int] = defaultdict(int)
        for each in self.all():
            if each["status"] == status:
                totals[each["currency"]] += each["net"]
        return totals

    def balance(self) -> Json:
        """Return the object of `GET /v1/balance`."""
        available, pending = self.sums("available"), self.sums("pending")
        default = self._settings.text("stripe.settlement_currency")
        known = sorted({*available, *pending}) or [default]
        return {
            "object": "balance",
            "available": [_funds(available.get(each, 0), each) for each in known],
            "connect_reserved": [{"amount": 0, "currency": each} for each in known],
            "livemode": False,
            "pending": [_funds(pending.get(each, 0), each) for each in known],
        }

    def books(self) -> dict[str, dict[str, Json]]:
        """Return for each currency and each reporting category the count and the sums."""
        books: dict[str, dict[str, Json]] = {}
        for each in self.all():
            page = books.setdefault(each["currency"], {})
            line = page.setdefault(
                each["reporting_category"], {"count": 0, "amount": 0, "fee": 0, "net": 0}
            )
            line["count"] += 1
            for name in ("amount", "fee", "net"):
                line[name] += each[name]
        return books

    def _release(self, day: str) -> None:
        now = max(int(day), self._clock.now())
        is_due = "json_extract(body, '$.status') = 'pending' AND "
        is_due += "json_extract(body, '$.available_on') <= ?"
        rows = self._store.query(KIND, is_due, (now,))
        for row in rows:
            self._store.put(KIND, row.id, row.body | {"status": "available"})
        if rows:
            self._events.tell(None, "balance.available", self.balance())
            for act in self.on_release:
                act()


def rates(text: str) -> dict[str, Decimal]:
    """Read exchange rates such as `eur=1.08 jpy=0.0068`, in units of the settlement currency."""
    pairs = (each.partition("=") for each in text.split())
    return {name.lower(): Decimal(rate) for name, _, rate in pairs}


def _fee_detail(fee: int, currency: str, type_: str) -> Json:
    what = "Dispute fee" if type_ == "adjustment" else "Stripe processing fees"
    return {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": what,
        "type": "stripe_fee",
    }


def _funds(amount: int, currency: str) -> Json:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}
