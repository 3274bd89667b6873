"""Flow control while everything is broken: how many workflows ran at the same time.

Invariant: a workflow has begun after whoever gave its place back has ended, so the times in the
rows alone show whether a limit was exceeded.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tests.e2e.stack import Stack

TYPE = "chaos_limited"
MOST = 2
"""So many of them at once."""
MOST_OF_A_SHOP = 1
SHOPS = 3
_SPANS = (
    "SELECT id::text AS id, input ->> 'shop' AS shop, started_at AS begin, completed_at AS end"
    f" FROM workflows WHERE type = '{TYPE}' AND started_at IS NOT NULL"
)


class Span(NamedTuple):
    """From when to when a workflow of a shop ran."""

    id: str
    shop: str
    begin: datetime
    end: datetime | None


def exceeded(stack: Stack) -> list[str]:
    """Workflows that began although a limit of theirs was full; and places that are still held."""
    spans = [Span(**row) for row in stack.rows(_SPANS)]
    by_shop = defaultdict(list)
    for span in spans:
        by_shop[span.shop].append(span)
    found = beyond(spans, MOST)
    for each in by_shop.values():
        found += beyond(each, MOST_OF_A_SHOP)
    held = stack.rows(
        "SELECT workflow_id::text AS id FROM flow_turns JOIN workflows ON id = workflow_id"
        " WHERE completed_at IS NOT NULL"
    )
    return found + [f"{row['id']}: has ended, and holds a place" for row in held]


def beyond(spans: Iterable[Span], most: int) -> list[str]:
    """The workflows that began while `most` others ran. Pure.

    >>> at = [datetime(2026, 1, 1, 0, 0, second) for second in range(5)]
    >>> first, second = Span("a", "x", at[0], at[2]), Span("b", "x", at[2], None)
    >>> beyond([first, second, Span("c", "x", at[3], at[4])], 1)
    ['c: began while 1 others ran, of which 1 may']
    """
    ordered = sorted(spans, key=lambda span: span.begin)
    running: list[Span] = []
    found = []
    for span in ordered:
        running = [each for each in running if each.end is None or each.end > span.begin]
        if len(running) >= most:
            found.append(f"{span.id}: began while {len(running)} others ran, of which {most} may")
        running.append(span)
    return found
