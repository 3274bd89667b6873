"""Writes the ledger of customers' money: books facts, each once.

Invariant: nothing that is booked ever changes, and the lines of each entry add up to 0 in each
currency. PostgreSQL keeps both, also against other writers.
"""

from typing import Any

import structlog

from app import db
from app.keys import workflow_of
from app.money.facts import Fact
from app.payload import clean, dumps

log = structlog.get_logger()


def book(*facts: Fact, source: str, seconds: float = db.PATIENCE_SECONDS) -> list[str]:
    """Book facts in one transaction, and return the verdict of `book_fact_v1` for each.

    The verdicts are booked, known and differs. `source` is `step`, `webhook` or `reconciliation`.
    Raises Unavailable if PostgreSQL does not come back in time.
    """
    if not facts:
        return []
    calls = ", ".join([_CALL] * len(facts))
    given = tuple(value for fact in facts for value in _given(fact, source))
    row = db.call(f"SELECT ARRAY[{calls}] AS verdicts", given, seconds=seconds)
    assert row is not None
    verdicts: list[str] = row["verdicts"]
    for fact, verdict in zip(facts, verdicts, strict=True):
        if verdict == "differs":
            # The first report stands. The reconciliation shows to which one the platform keeps.
            log.error("ledger.fact_differs", fact=fact.key, source=source)
    return verdicts


_CALL = "book_fact_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[])"


def _given(fact: Fact, source: str) -> tuple[Any, ...]:
    reference = fact.reference if fact.reference and clean(fact.reference) == fact.reference else ""
    workflow_id = workflow_of(reference)
    return (
        fact.key,
        fact.of_key,
        fact.kind,
        fact.platform,
        source,
        workflow_id,
        reference.partition("/")[2] if workflow_id else None,
        sorted(fact.external_ids.values()),
        fact.occurred_at,
        dumps(dict(fact.external_ids)),
        [line.account for line in fact.lines],
        [line.money.currency for line in fact.lines],
        [line.money.amount for line in fact.lines],
    )
