"""The job that archives what is old enough, and erases what was archived long enough ago.

Invariant: the job may die between any two of its steps, and two may run at once. Each step is
either repeated by the next run without harm, or has a row from which the next run goes on. One
family that cannot be archived holds up no other.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from app.archive import manifests, sweeping
from app.archive.connecting import Step, connected, dicts, go_on, snapshot
from app.archive.moving import Family, Moved, archive
from app.platform import Json
from app.queries.archive import GRACE_DAYS, expiring
from chains.retention import finding
from chains.retention.pace import Pace
from chains.retention.policy import Policy, policy

log = structlog.get_logger()

BATCH = 200
"""The most workflows of one transaction, unless a single family has more."""
RUN_SECONDS = 300.0
_MOST_ERASED = 200
_LOCK = 0x72657461  # an advisory lock, so that a second run does not do the same work once more


@dataclass
class Counts:
    """What a run has done. `refused` counts families that may not be archived, by reasons."""

    moved: Moved = field(default_factory=Moved)
    refused: dict[str, int] = field(default_factory=dict)
    erased: int = 0
    """Workflows whose bundles have expired."""
    announced: int = 0
    """Workflows that are erased in GRACE_DAYS, because they are kept less long now."""
    removed: int = 0
    """Files of which something was removed."""
    swept: int = 0
    """Files that were removed, those of runs that had died among them."""
    manifests: int = 0
    is_complete: bool = False
    """Whether the run has looked at everything that was old enough."""

    def refuse(self, found: dict[str, int]) -> None:
        """Add the reasons of a page."""
        for reason, number in found.items():
            self.refused[reason] = self.refused.get(reason, 0) + number

    def shown(self) -> Json:
        """The counts as the API shows them."""
        counted = {name: value for name, value in vars(self).items() if name != "moved"}
        return {**vars(self.moved), **counted}


def run(
    *,
    seconds: float = RUN_SECONDS,
    share: float | None = None,
    step: Step = go_on,
    given_up_seconds: float = sweeping.GIVEN_UP_SECONDS,
) -> Json:
    """Archive and erase what is due, for at most about so many seconds. Returns what was done.

    `share` is the part of the time in which it works; without it, that depends on what others do
    (see chains.retention.pace). If another run is at work, nothing is done, and `is_busy` says so.
    """
    with connected() as writing, snapshot() as reading:
        (row,) = dicts(writing, "SELECT pg_try_advisory_lock(%s) AS is_ours", (_LOCK,))
        if not row["is_ours"]:
            return {"is_busy": True}
        counts = Counts()
        worker = _Worker(reading, writing, counts, Pace(writing, share, seconds), step)
        counts.swept = sweeping.sweep(writing, step, given_up_seconds=given_up_seconds)
        kept = policy()
        # What was archived before comes first: no fault of a family that is archived may hinder it.
        worker.erase(kept)
        counts.manifests += manifests.make_all(writing, step)
        counts.removed = sweeping.remove(writing, step)
        worker.archive(kept)
        counts.manifests += manifests.make_all(writing, step)
        counts.removed += sweeping.remove(writing, step)
        counts.swept += sweeping.sweep(writing, step, given_up_seconds=given_up_seconds)
        worker.note()
    log.info("archive.ran", **counts.shown())
    return {"is_busy": False, **counts.shown()}


@dataclass
class _Worker:
    reading: Any
    writing: Any
    counts: Counts
    pace: Pace
    step: Step

    def archive(self, kept: Policy) -> None:
        """Archive what is due, from where the last run has stopped on."""
        rows = dicts(self.writing, "SELECT looked_to FROM archive_progress")
        found = finding.pages(self.writing, kept, rows[0]["looked_to"] if rows else finding.FIRST)
        while (page := self.pace.work(next, found, None)) is not None:
            for batch in finding.batches(page.due, BATCH):
                if self.pace.is_over:
                    return
                done = self.pace.work(archive, self.reading, self.writing, batch, self.step)
                self.counts.moved.add(done)
            self.counts.refuse(page.refused)
            self._look_to(page.looked_to or finding.FIRST)
            self.step("looked")
            if self.pace.is_over and page.looked_to is not None:
                return
        self.counts.is_complete = True

    def erase(self, kept: Policy) -> None:
        """Decide which bundles have expired.

        Whoever shortens how long bundles are kept has GRACE_DAYS to change their mind.
        """
        shortest = kept.shortest_archive
        if shortest is None:
            return
        now = dicts(self.writing, "SELECT playalter_now() AS now")[0]["now"]
        after = (now - timedelta(days=40_000), finding.FIRST)
        while not self.pace.is_over:
            oldest = now - timedelta(seconds=shortest)
            rows = dicts(self.writing, _OLD, (*after, oldest, _MOST_ERASED))
            ids = [row["id"] for row in rows if _is_over(kept, row, now)]
            if ids:
                (done,) = self.pace.work(dicts, self.writing, _EXPIRE, (ids, GRACE_DAYS))
                self.counts.erased += done["erased"]
                self.counts.announced += done["announced"]
                self.step("expired")
            if len(rows) < _MOST_ERASED:
                return
            after = (rows[-1]["archived_at"], rows[-1]["id"])

    def note(self) -> None:
        """Store what this run has done."""
        dicts(self.writing, _NOTE, (finding.FIRST, json.dumps(self.counts.shown())))

    def _look_to(self, place: UUID) -> None:
        dicts(self.writing, _LOOK_TO, (place,))


def _is_over(kept: Policy, row: Json, now: Any) -> bool:
    archived = kept.of(row["types"]).archive
    return archived is not None and now - row["archived_at"] >= timedelta(seconds=archived)


_LOOK_TO = """
INSERT INTO archive_progress (looked_to, ran_at, result) VALUES (%s, clock_timestamp(), '{}')
ON CONFLICT (is_only) DO UPDATE SET looked_to = excluded.looked_to
"""
_NOTE = """
INSERT INTO archive_progress AS p (looked_to, ran_at, result) VALUES (%s, clock_timestamp(), %s)
ON CONFLICT (is_only) DO UPDATE SET ran_at = excluded.ran_at, result = excluded.result
"""
_OLD = """
SELECT id, types, archived_at FROM archive_bundles
 WHERE state = 'archived' AND (archived_at, id) > (%s, %s) AND archived_at <= %s
 ORDER BY archived_at, id LIMIT %s
"""
_EXPIRE = "SELECT * FROM expire_bundles_v1(%s::uuid[], make_interval(days => %s))"


def foresee(type: str | None = None, hot: float | None = None, *, seconds: float = 20.0) -> Json:
    """What a run would archive now, and why not more; nothing is changed.

    With `hot`, as if that were the time in PostgreSQL of a type, or of all that say nothing. Counts
    for at most about so many seconds; `is_complete` says whether that was enough.
    """
    kept = policy() if hot is None else policy().assuming(type, hot)
    until = time.monotonic() + seconds
    counts: Json = {"families": 0, "workflows": 0, "types": {}, "refused": {}, "is_complete": True}
    counts["expiring"] = expiring()
    with connected() as connection:
        for page in finding.pages(connection, kept):
            for family in page.due:
                if type is None or type in family.types:
                    _count(counts, family)
            for reason, number in page.refused.items():
                counts["refused"][reason] = counts["refused"].get(reason, 0) + number
            if time.monotonic() > until and page.looked_to is not None:
                counts["is_complete"] = False
                break
    return counts


def _count(counts: Json, family: Family) -> None:
    counts["families"] += 1
    counts["workflows"] += len(family.ids)
    for name in family.types:
        counts["types"][name] = counts["types"].get(name, 0) + 1
