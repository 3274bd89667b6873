"""Chooses which starts of a schedule are prepared, because `fire_schedule_v1` may start them now.

Pure. The choice saves work and nothing more: a start that may begin and was not prepared waits for
the next pass, which follows at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MOST_PREPARED = 100
REPLACING = ("cancel_other", "terminate_other")


@dataclass(frozen=True)
class Candidate:
    """A start that is due or waits (then it has a `run`). `policy` is what applies to it."""

    kind: str
    nominal_at: datetime
    policy: str
    run: int | None = None
    overlap: str | None = None
    expires_at: datetime | None = None
    request_id: str | None = None


def startable(candidates: Iterable[Candidate], *, is_running: bool) -> list[Candidate]:
    """Those that may be started now, if what runs has not changed meanwhile.

    `candidates` are in the order in which they have their turn, apart from backfills, which come
    last.
    """
    ordered = sorted(candidates, key=lambda each: (each.kind == "backfill", each.run is None))
    last = {each.kind: each for each in ordered if each.policy in REPLACING}
    chosen = [each for each in ordered if each.policy == "allow_all" or each is last.get(each.kind)]
    if is_running:
        chosen = [each for each in chosen if each.policy != "cancel_other"]
    else:
        first = next((each for each in ordered if each.policy not in REPLACING), None)
        if first is not None and first not in chosen:
            chosen.insert(0, first)
    return chosen[:MOST_PREPARED]


def replaced_among(candidates: Iterable[Candidate]) -> set[Candidate]:
    """Those whose place a later one takes, because their policy is to stop what runs."""
    replacing = [each for each in candidates if each.policy in REPLACING]
    last = {each.kind: each for each in replacing}
    return {each for each in replacing if each is not last[each.kind]}
