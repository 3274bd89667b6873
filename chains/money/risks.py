"""Asks platforms once a day what became of the disputes whose money is at risk.

A dispute that is lost moves no money, so no statement tells it, and its webhook may be lost.

Invariant: each dispute at risk is asked about before any is asked about again, however long that
takes and whatever a platform answers to one of them.
"""

import time
from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

import structlog

from app import db, ledger
from app.errors import Permanent
from app.money.facts import UNREADABLE, Fact
from app.platform import Platform

log = structlog.get_logger()

_PAGE = 100


def follow_due(platform: Platform, until: float) -> int:
    """Go on asking about the disputes at risk, unless all were asked about since the last day that
    is compared; how many facts are new.

    What is left when `time.monotonic()` passes `until`, or if the platform does not answer, is
    asked about next time. Raises an Outcome if it does not, and NotConfigured without a credential.
    """
    row = None if platform.dispute is None else db.call(_PLACE, (platform.name,))
    if row is None or row["disputes_asked_at"] is not None:
        return 0
    followed = Followed(platform, row["disputes_after"])
    try:
        return followed.go_on(until)
    finally:
        followed.note(row["day"])


class Followed:
    """A walk through the disputes at risk, from the entry after `after`; None for the first."""

    def __init__(self, platform: Platform, after: UUID | None = None) -> None:
        self._platform, self._after, self._is_done = platform, after, False

    def go_on(self, until: float) -> int:
        """Book what they have come to, until `time.monotonic()` passes `until`; how many facts are
        new. Raises as `follow_due`."""
        read, booked = self._platform.dispute, 0
        assert read is not None
        while page := ledger.at_risk(self._platform.name, self._after, _PAGE):
            for entry, dispute in page:
                if time.monotonic() >= until:
                    return booked
                # Also if there is no answer: one dispute must not keep those after it away.
                self._after = entry
                facts = _facts(read, dispute)
                booked += ledger.book(*facts, source="reconciliation").count("booked")
        self._is_done = True
        return booked

    def note(self, day: date) -> None:
        """Record how far it has come, for the disputes of this day."""
        db.call(_NOTE, (self._after, self._is_done, self._platform.name, day))


def _facts(read: Callable[[str], Sequence[Fact]], dispute: str) -> Sequence[Fact]:
    """What a dispute shows now; nothing if it cannot be read, which must not keep others away."""
    try:
        return read(dispute)
    except (Permanent, *UNREADABLE) as err:
        log.error("ledger.dispute_not_read", dispute=dispute, exc_info=err)
        return ()


_PLACE = """
SELECT day, disputes_after, disputes_asked_at FROM ledger_days
 WHERE platform = %s AND completed_at IS NOT NULL ORDER BY day DESC LIMIT 1
"""
_NOTE = """
UPDATE ledger_days SET disputes_after = %s,
  disputes_asked_at = CASE WHEN %s THEN playalter_now() END
 WHERE platform = %s AND day = %s
"""
