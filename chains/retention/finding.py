"""Finds families that are old enough to be archived, page by page in the order of their ids.

Ids of roots begin with the time of their start, so the oldest come first and no index is needed
for this. A family that may not be archived yet is found again when the search begins anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.archive.connecting import dicts
from app.archive.moving import Family, families, sizes
from chains.retention.policy import Policy

PAGE = 1000
MOST_BYTES = 32 * 2**20
"""The most bytes of payloads in one batch, as PostgreSQL stores them: a batch is held in memory."""
FIRST = UUID(int=0)


@dataclass
class Page:
    """What was found: the families to archive, why others were not taken, and how far it looked.

    `looked_to` is None if there is nothing behind.
    """

    due: list[Family] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    looked_to: UUID | None = None


def pages(connection: Any, kept: Policy, after: UUID = FIRST) -> Iterator[Page]:
    """The pages behind the id `after`."""
    shortest = kept.shortest_hot
    if shortest is None:
        return
    while True:
        now = dicts(connection, "SELECT playalter_now() AS now")[0]["now"]
        page = _page(connection, kept, after, now, _id_of(now, shortest))
        yield page
        if page.looked_to is None:
            return
        after = page.looked_to


def _page(connection: Any, kept: Policy, after: UUID, now: datetime, end: UUID) -> Page:
    rows = dicts(connection, _PAGE, (after, end, PAGE))
    page = Page(looked_to=rows[-1]["id"] if len(rows) == PAGE else None)
    roots = [row["id"] for row in rows if row["is_root"] and _is_due(kept, row, now)]
    found = families(connection, roots) if roots else []
    for family in found:
        of_types = kept.of(family.types)
        hot = of_types.hot
        if family.refusal is not None:
            page.refused[family.refusal] = page.refused.get(family.refusal, 0) + 1
        elif hot is not None and family.ended_at and now - family.ended_at >= _span(hot):
            page.due.append(replace(family, kept_seconds=of_types.archive))
    room = sizes(connection, page.due)
    page.due = [replace(family, bytes=room[family.root]) for family in page.due]
    return page


def _is_due(kept: Policy, row: dict[str, Any], now: datetime) -> bool:
    hot, ended_at = kept.of([row["type"]]).hot, row["completed_at"]
    return hot is not None and ended_at is not None and now - ended_at >= _span(hot)


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


_PAGE = """
SELECT id, type, completed_at, parent_id IS NULL AS is_root FROM workflows
 WHERE id > %s AND id < %s ORDER BY id LIMIT %s
"""


def _id_of(now: datetime, seconds: float) -> UUID:
    """The lowest id (a UUIDv7) of a workflow that was started less than `seconds` ago."""
    milliseconds = int((now.timestamp() - seconds) * 1000)
    return UUID(int=max(milliseconds, 0) << 80)


def batches(
    found: Sequence[Family], most: int, most_bytes: int = MOST_BYTES
) -> Iterator[list[Family]]:
    """The families in batches with at most so many workflows and bytes; a larger family is one
    alone.

    >>> one, three = (Family(FIRST, (FIRST,) * n, (), None, None) for n in (1, 3))
    >>> [len(batch) for batch in batches([one, one, three, one], 2)]
    [2, 1, 1]
    """
    batch: list[Family] = []
    size = room = 0
    for family in found:
        size, room = size + len(family.ids), room + family.bytes
        if batch and (size > most or room > most_bytes):
            yield batch
            batch, size, room = [], len(family.ids), family.bytes
        batch.append(family)
    if batch:
        yield batch
