"""What the balance of the Stripe account was at a time, which the ledger is compared with.

Stripe states only the balance of now. What has moved since the time is taken off.
https://docs.stripe.com/api/balance/balance_object
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.errors import Retryable
from app.money.facts import Money
from app.platform import Json
from tasks.stripe.client import api

_TRIES = 20
_PARTS = ("available", "pending")
_OTHERS = ("issuing", "refund_and_dispute_prefunding")
"""Balances beside that of payments. Their movements are balance transactions too."""
_FAR = timedelta(days=366)
_OVERLAP = timedelta(seconds=10)
"""So much of what is read is read again: a movement may be listed after another that is newer."""


def read(at: datetime) -> Sequence[Money]:
    """The balance of each currency at a time, after the fees of all movements before it.

    What has moved since is read once, and then only what is newer, until nothing moves between two
    readings of the balance. Raises an Outcome if Stripe does not answer, Retryable if its balance
    moves all the time.
    """
    moved = _Moved(at)
    before = _now()
    for _ in range(_TRIES):
        moved.read_on()
        after = _now()
        if after == before:
            codes = sorted({*after, *moved.total})
            return [Money.of(after[code] - moved.total[code], code) for code in codes]
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


@dataclass
class _Moved:
    """The movements since a time: their sums, their ids, and when the last one was."""

    since: datetime
    total: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    newest: datetime | None = None

    def read_on(self) -> None:
        """Read the movements that are newer than those which are known."""
        begin = self.since if self.newest is None else max(self.since, self.newest - _OVERLAP)
        cursor: str | None = None
        while True:
            page = api().balance_transactions(begin, self.since + _FAR, cursor)
            for each in page["data"]:
                self._add(each)
            if not page["has_more"] or not page["data"]:
                return
            cursor = page["data"][-1]["id"]

    def _add(self, each: Json) -> None:
        if each["id"] in self.known:
            return
        self.known.add(each["id"])
        self.total.update(_sums([(each["currency"], each["net"])]))
        created = datetime.fromtimestamp(each["created"], UTC)
        self.newest = created if self.newest is None else max(self.newest, created)


def _sums(amounts: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for currency, amount in amounts:
        found[currency.upper()] += amount
    return found
