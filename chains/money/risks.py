"""Asks platforms what became of the disputes whose money is at risk.

A dispute that is lost moves no money, so no statement tells it, and its webhook may be lost.
"""

import time
from collections.abc import Callable, Sequence

import structlog

from app import ledger
from app.errors import Permanent
from app.money.facts import UNREADABLE, Fact
from app.platform import Platform

log = structlog.get_logger()

_PAGE = 100


def follow_disputes(platform: Platform, until: float) -> int:
    """Book what the disputes at risk have come to; how many facts are new.

    What is left when `time.monotonic()` passes `until` is asked next time. Raises an Outcome if the
    platform does not answer, and NotConfigured without a credential.
    """
    if platform.dispute is None:
        return 0
    booked, after = 0, None
    while page := ledger.at_risk(platform.name, after, _PAGE):
        for _, dispute in page:
            if time.monotonic() >= until:
                return booked
            facts = _facts(platform.dispute, dispute)
            booked += ledger.book(*facts, source="reconciliation").count("booked")
        after = page[-1][0]
    return booked


def _facts(read: Callable[[str], Sequence[Fact]], dispute: str) -> Sequence[Fact]:
    """What a dispute shows now; nothing if it cannot be read, which must not keep others away."""
    try:
        return read(dispute)
    except (Permanent, *UNREADABLE) as err:
        log.error("ledger.dispute_not_read", dispute=dispute, exc_info=err)
        return ()
