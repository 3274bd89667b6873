"""Asks a database what breaks the invariants, and marks the tests that hold them."""

from collections.abc import Callable, Container, Iterable
from typing import TypeVar
from uuid import UUID

from tests.invariants.planned import Rows, not_undone, over_window
from tests.invariants.rules import CHOSEN, INVARIANTS, Broken

F = TypeVar("F")

_HAPPENED = (
    "SELECT e.workflow_id, e.seq, e.body, e.hash, e.body::jsonb AS b FROM events e"
    " JOIN chosen ON chosen.id = e.workflow_id"
)


def stated(
    rows: Rows, numbers: Container[int], workflows: Iterable[UUID] | None = None
) -> list[Broken]:
    """What breaks one of these invariants now, of those that have a statement."""
    chosen = None if workflows is None else list(workflows)
    selects = [
        f"SELECT {each.number} AS number, x.* FROM ({each.sql}) AS x (workflow_id, what)"
        for each in INVARIANTS
        if each.sql is not None and each.number in numbers
    ]
    ctes = f"WITH chosen AS MATERIALIZED ({CHOSEN}), happened AS MATERIALIZED ({_HAPPENED}) "
    found = rows(ctes + " UNION ALL ".join(selects), (chosen, chosen))
    return [Broken(row["number"], row["workflow_id"], row["what"]) for row in found]


def holds(*numbers: int) -> Callable[[F], F]:
    """Say that a test holds these invariants (decorator)."""

    def mark(test: F) -> F:
        vars(test)["invariants"] = frozenset(numbers)
        return test

    return mark


def broken(rows: Rows, workflows: Iterable[UUID] | None = None) -> list[Broken]:
    """What breaks an invariant now, in these workflows or in all; reads definitions too, so that
    the process's settings must be those of the same database."""
    chosen = None if workflows is None else list(workflows)
    found = stated(rows, range(1, len(INVARIANTS) + 1), chosen)
    return [*found, *not_undone(rows, chosen), *over_window(rows, chosen)]
