"""Writes the ledger of customers' money: books facts, each once, and notes what a statement says
otherwise.

Invariant: nothing that is booked ever changes, and the lines of each entry add up to 0 in each
currency. PostgreSQL keeps both, also against other writers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import structlog

from app import db
from app.keys import workflow_of
from app.money.facts import Fact, Money, key_of
from app.money.statements import Difference, Movement
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


_CALL = "book_fact_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[], %s)"


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
        fact.stage,
    )


@dataclass(frozen=True)
class Booked:
    """What is booked for a fact on one account, and what has booked it."""

    money: Money
    source: str


def booked(keys: Iterable[str], account: str) -> Mapping[str, Booked]:
    """What is booked for facts on an account, by their keys."""
    found = db.patiently(lambda: db.rows(_BOOKED, (list(keys), account)))
    return {
        row["fact_key"]: Booked(Money(row["amount"], row["currency"]), row["source"])
        for row in found
    }


def bookers(keys: Iterable[str]) -> Mapping[str, str | None]:
    """The steps, `<workflow>/<step>`, that have booked facts, by the keys of the facts; None for a
    fact that no step has booked."""
    found = db.patiently(lambda: db.rows(_BOOKERS, (list(keys),)))
    return {row["fact_key"]: row["reference"] for row in found}


_BOOKERS = """
SELECT fact_key, workflow_id || '/' || step_key AS reference
  FROM ledger_entries WHERE fact_key = ANY (%s)
"""

_BOOKED = """
SELECT e.fact_key, e.source, l.amount, l.currency
  FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id
 WHERE e.fact_key = ANY (%s) AND l.account = %s
"""


def book_rest(movement: Movement, account: str) -> str:
    """Book what the platform has taken for the capture that the movement settles in part, beyond
    what is booked for it on `account`; a verdict as those of `book`."""
    assert movement.settles is not None
    assert movement.whole is not None
    whole, (platform, _, rest) = movement.whole, movement.settles.partition(":")
    object_id, _, kind = rest.rpartition(":")
    row = db.call(
        "SELECT book_rest_v1(%s, %s, %s, %s, %s, %s, %s, %s) AS verdict",
        (
            movement.settles,
            key_of(platform, f"{object_id}_{whole.amount}", kind),
            platform,
            account,
            whole.amount,
            whole.currency,
            movement.at,
            dumps({"balance_transaction": movement.id, "source": object_id}),
        ),
    )
    assert row is not None
    return str(row["verdict"])


def missing_there(
    platform: str, kinds: Sequence[str], since: datetime, until: datetime, account: str
) -> list[Difference]:
    """The facts of these kinds that no statement of the platform has settled: those before `until`
    that happened or were recorded from `since` on.

    `account` is that of what is not settled yet.
    """
    asked = (platform, list(kinds), since, until, account)
    return _missing(platform, "SELECT * FROM missing_there_v1(%s, %s, %s, %s, %s)", asked)


def unstated_fees(
    platform: str, since: datetime, until: datetime, account: str
) -> list[Difference]:
    """The fees that a webhook has told and no statement has; `account` is the balance's."""
    asked = (platform, since, until, account)
    return _missing(platform, "SELECT * FROM unstated_fees_v1(%s, %s, %s, %s)", asked)


def _missing(platform: str, sql: str, asked: tuple[Any, ...]) -> list[Difference]:
    return [
        Difference(
            "missing_there", row["about"], platform, Money(row["amount"], row["currency"]), None
        )
        for row in db.patiently(lambda: db.rows(sql, asked))
    ]


def at_risk(platform: str, after: UUID | None, most: int) -> list[tuple[UUID, str]]:
    """The entries of disputes of which it is not known what became of their money, at most so many
    after the entry `after`: the id of each with that of its dispute at the platform."""
    sql = "SELECT * FROM at_risk_v1(%s, %s, %s)"
    found = db.patiently(lambda: db.rows(sql, (platform, after, most)))
    return [(row["id"], row["about"].split(":")[1]) for row in found]


def unevenly_settled(
    platform: str, since: datetime, until: datetime, account: str
) -> list[Difference]:
    """The facts that the movements of a time have settled with another sum than is booked."""
    asked = (platform, since, until, account)
    found = db.patiently(
        lambda: db.rows("SELECT * FROM unevenly_settled_v1(%s, %s, %s, %s)", asked)
    )
    return [
        Difference(
            "other_amount",
            row["about"],
            platform,
            Money(row["booked"], row["currency"]),
            Money(row["settled"], row["currency"]),
        )
        for row in found
    ]


def note(day: date, found: Difference) -> bool:
    """Record a difference, once; whether it is new."""
    ours, theirs = found.ours, found.theirs
    row = db.call(
        "SELECT note_difference_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS is_new",
        (
            day,
            found.kind,
            found.about,
            found.platform,
            ours and ours.amount,
            ours and ours.currency,
            theirs and theirs.amount,
            theirs and theirs.currency,
            found.external_id,
        ),
    )
    assert row is not None
    if row["is_new"]:
        log.error("ledger.difference", kind=found.kind, about=found.about, day=str(day))
    return bool(row["is_new"])


def compare_balance(platform: str, day: date, end: datetime, account: str, theirs: Money) -> bool:
    """Compare the balance that a platform states for the end of a day with what is booked before on
    `account`; whether they differ by another amount than they did before."""
    row = db.call(
        "SELECT note_balance_v1(%s, %s, %s, %s, %s, %s) AS is_new",
        (platform, day, end, account, theirs.currency, theirs.amount),
    )
    assert row is not None
    if row["is_new"]:
        log.error("ledger.balance_differs", platform=platform, day=str(day), theirs=theirs.amount)
    return bool(row["is_new"])


def currencies(account: str) -> set[str]:
    """The currencies in which anything is booked on an account."""
    found = db.patiently(
        lambda: db.rows("SELECT DISTINCT currency FROM ledger_lines WHERE account = %s", (account,))
    )
    return {row["currency"] for row in found}


def agreed(keys: Iterable[str]) -> None:
    """Close the differences about facts for which the books and the statement agree now.

    Those stay open of a fact with which each movement agrees, but not the sum of the movements.
    """
    given = "reconciliation", "the books and the statement agree now", list(keys)
    db.call(_AGREED, given)


_AGREED = """
UPDATE ledger_differences AS d SET explained_at = playalter_now(), explained_by = %s, note = %s
 WHERE about = ANY (%s) AND explained_at IS NULL AND NOT EXISTS (
   SELECT FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id
    WHERE l.account = d.platform || ':settling'
      AND (e.fact_key = d.about
           OR (e.of_key = d.about AND e.kind IN ('settlement', 'exchange', 'capture')))
    GROUP BY l.currency HAVING sum(l.amount) <> 0)
"""


def stated(keys: Iterable[str]) -> None:
    """Close the differences that a statement lacks these facts: it has them, maybe otherwise."""
    db.call(
        "UPDATE ledger_differences SET explained_at = playalter_now(), explained_by = %s, note = %s"
        " WHERE about = ANY (%s) AND kind = 'missing_there' AND explained_at IS NULL",
        ("reconciliation", "a later statement has it", list(keys)),
    )


def explain(difference_id: UUID, by: str, note: str) -> bool:
    """Close a difference, since a person has explained it; False if there is none of this id."""
    row = db.call("SELECT explain_difference_v1(%s, %s, %s) AS found", (difference_id, by, note))
    assert row is not None
    return bool(row["found"])
