"""What our own record says when all is over: lost, stuck, wrong ends, broken chains.

Invariant: chains are recomputed here, by nothing of the engine's.
"""

import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import psycopg2

from app import db
from ops.laptop.profile import CHECKOUT, DATABASE
from tests.chaos.books import Booked, Ended
from tests.chaos.driver import Ledger
from tests.chaos.mix import Item
from tests.e2e.stack import Stack
from tests.invariants import stated

Json = dict[str, Any]
Event = tuple[str, int, str, bytes]

TERMINAL = ("succeeded", "failed", "compensated", "cancelled")
REBUILD_SECONDS = 120.0
LOOK_SECONDS = 1.0
_WORKFLOWS = """
SELECT id::text AS id, type, status, cause, attention, completed_at, idempotency_key,
       error ->> 'code' AS code, parent_id IS NOT NULL AS is_child
  FROM workflows
"""
_EVENTS = "SELECT workflow_id::text, seq, body, hash FROM events ORDER BY workflow_id, seq"


@dataclass(frozen=True)
class Workflow:
    """A workflow's row."""

    id: str
    type: str
    status: str
    cause: str | None
    attention: str | None
    completed_at: Any
    idempotency_key: str | None
    code: str | None
    is_child: bool

    @property
    def is_settled(self) -> bool:
        """Whether it has ended or asks for a person."""
        return self.status in TERMINAL or self.attention is not None


def workflows(stack: Stack) -> dict[str, Workflow]:
    """Every workflow, children too."""
    return {row["id"]: Workflow(**row) for row in stack.rows(_WORKFLOWS)}


def unsettled(known: Iterable[Workflow]) -> list[str]:
    """Workflows that neither ended nor ask for a person."""
    return [f"{each.id} ({each.type}, {each.status})" for each in known if not each.is_settled]


def settle(stack: Stack, seconds: float, quiet_seconds: float) -> list[str]:
    """Wait until every workflow has ended or asks for a person, and some time more; those that have
    not."""
    until = time.monotonic() + seconds
    while (left := unsettled(workflows(stack).values())) and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    time.sleep(quiet_seconds)
    return left


def lost(known: dict[str, Workflow], ledger: Ledger) -> list[str]:
    """Submissions that were accepted and are not there, or answered with another workflow."""
    missing = [f"{id} ({item.key})" for id, item in ledger.accepted.items() if id not in known]
    return missing + [f"{key} was answered with two workflows" for key in ledger.moved]


def wrong_ends(known: dict[str, Workflow], ledger: Ledger) -> list[str]:
    """Workflows that ended as they must not."""
    return [
        f"{id} ({item.type}, {item.key}) is {found.status}: {found.code}"
        for id, item in ledger.accepted.items()
        if (found := known.get(id)) and found.status in TERMINAL and found.status not in item.ends
    ]


def succeeded(known: dict[str, Workflow], ledger: Ledger) -> Iterator[tuple[str, Item]]:
    """The accepted workflows that succeeded, with what they were to do."""
    for id, item in ledger.accepted.items():
        if id in known and known[id].status == "succeeded":
            yield id, item


def ended(known: dict[str, Workflow]) -> dict[str, Ended]:
    """How and when each workflow ended."""
    return {id: Ended(each.status, each.completed_at) for id, each in known.items()}


def attention(known: dict[str, Workflow]) -> dict[str, int]:
    """By reason, how many ask for a person."""
    return dict(Counter(each.attention for each in known.values() if each.attention))


def budgets(stack: Stack) -> list[str]:
    """Budgets overspent, exceeded too early, or holding what an ended step has reserved."""
    found = stated(lambda sql, parameters: stack.rows(sql, *parameters), (19, 20, 21))
    early = stack.rows(_EXCEEDED_EARLY)
    return [f"{each.workflow_id}: {each.what}" for each in found] + [
        f"{row['id']}: exceeded although {row['spent']} of {row['amount']} was spent"
        for row in early
    ]


# What a workflow of the mix with a budget reserves at once at most: a prediction.
_EXCEEDED_EARLY = """
SELECT w.id::text AS id, b.spent, b.amount FROM workflows w JOIN budgets b ON b.workflow_id = w.id
 WHERE w.cause = 'over_budget' AND b.amount > 0 AND b.spent + 58500 <= b.amount
"""


def booked(stack: Stack) -> Booked:
    """How many entries of each kind the ledger has for each payment."""
    return Counter({(row["kind"], row["payment"]): row["number"] for row in stack.rows(_BOOKED)})


_BOOKED = """
SELECT kind, external_ids ->> 'payment_intent' AS payment, count(*) AS number FROM ledger_entries
 WHERE external_ids ->> 'payment_intent' IS NOT NULL GROUP BY 1, 2
"""


def unbalanced(stack: Stack) -> list[str]:
    """The entries of the ledger whose lines do not add up to 0."""
    rows = stack.rows(
        "SELECT entry_id::text AS id, currency FROM ledger_lines GROUP BY entry_id, currency"
        " HAVING sum(amount) <> 0"
    )
    return [f"entry {row['id']} does not add up in {row['currency']}" for row in rows]


def broken_chains(stack: Stack) -> tuple[list[str], int]:
    """Workflows whose chain does not verify, each with why; and how many events there are."""
    address = db.dsn(stack.profile.postgres().url(DATABASE))
    with contextlib.closing(psycopg2.connect(address)) as connection:
        count = 0

        def counted(cursor: Iterable[Event]) -> Iterator[Event]:
            nonlocal count
            for row in cursor:
                count += 1
                yield row

        with connection.cursor("chaos_events") as cursor:
            cursor.itersize = 5000
            cursor.execute(_EVENTS)
            broken = faults_of(counted(cursor))
    return broken, count


def faults_of(events: Iterable[Event]) -> list[str]:
    """What is wrong with chains of (workflow, seq, body, hash), ordered by workflow and seq."""
    found = []
    for workflow, rows in groupby(events, key=lambda row: row[0]):
        before = hashlib.sha256(UUID(workflow).bytes).digest()
        for number, (_, seq, body, kept) in enumerate(rows, start=1):
            digest = hashlib.sha256(before + body.encode()).digest()
            if seq != number or json.loads(body)["seq"] != seq:
                found.append(f"{workflow}: event {number} is missing or numbered {seq}")
                break
            if digest != bytes(kept):
                found.append(f"{workflow}: event {seq} does not verify")
                break
            before = digest
    return found


def without_events(known: dict[str, Workflow], stack: Stack) -> list[str]:
    """Workflows whose record is empty."""
    rows = stack.rows("SELECT DISTINCT workflow_id::text AS id FROM events")
    return [f"{id}: no event" for id in known.keys() - {row["id"] for row in rows}]


def differing_projections(stack: Stack) -> list[str]:
    """What a rebuild from the events finds different."""
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "events", "rebuild"],
        env=stack.profile.environment(),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=REBUILD_SECONDS,
    )
    told = (done.stdout + done.stderr).strip().splitlines()
    return [] if done.returncode == 0 else told or [f"exit code {done.returncode}"]
