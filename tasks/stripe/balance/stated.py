"""What the balance of the Stripe account was at a time, which the ledger is compared with.

Stripe states only the balance of now. What has moved since the time is taken off.
https://docs.stripe.com/api/balance/balance_object
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from app.errors import Retryable
from app.money.facts import Money
from tasks.stripe.client import api

_TRIES = 5
_PARTS = ("available", "pending")
_OTHERS = ("issuing", "refund_and_dispute_prefunding")
"""Balances beside that of payments. Their movements are balance transactions too."""
_FAR = timedelta(days=366)


def read(at: datetime) -> Sequence[Money]:
    """The balance of each currency at a time, after the fees of all movements before it.

    Raises an Outcome if Stripe does not answer, Retryable if its balance moves all the time.
    """
    before = _now()
    for _ in range(_TRIES):
        since = _moved_since(at)
        after = _now()
        if after == before:
            codes = sorted({*after, *since})
            return [Money.of(after[code] - since[code], code) for code in codes]
        before = after
    raise Retryable("the balance at stripe moves while it is read", code="balance_moves")


def _now() -> Counter[str]:
    found = api().perform("balance.retrieve", lambda v1: v1.balance.retrieve(), repeatable=True)
    parts = [found, *(found.get(name) or {} for name in _OTHERS)]
    return _sums(
        (each["currency"], each["amount"])
        for part in parts
        for name in _PARTS
        for each in part.get(name) or []
    )


def _moved_since(at: datetime) -> Counter[str]:
    total: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        page = api().balance_transactions(at, at + _FAR, cursor)
        total.update(_sums((each["currency"], each["net"]) for each in page["data"]))
        if not page["has_more"] or not page["data"]:
            return total
        cursor = page["data"][-1]["id"]


def _sums(amounts: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for currency, amount in amounts:
        found[currency.upper()] += amount
    return found
