"""The tables with rows of workflows, and how rows are turned into texts and back.

Invariant: each column is kept as the text that PostgreSQL writes for it, and comes back through
PostgreSQL's own reading of that text. So a row that is restored equals the row that was archived,
also where a payload is ciphertext or a number has more digits than Python's.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.keys import child_id, signal_id

TEXT_FORM = "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'"
"""What a connection sets, so that texts of rows are the same on every server."""


@dataclass(frozen=True)
class Table:
    """A table, and the column that says to which workflow a row belongs."""

    name: str
    owner: str
    order: str


DELIVERIES = "webhook_deliveries"
ARTIFACTS = "artifacts"
OWNED = (
    Table("workflows", "id", "depth, id"),
    Table("steps", "workflow_id", "position, key"),
    Table("events", "workflow_id", "seq"),
    Table("intents", "workflow_id", "step_key, generation, ordinal"),
    Table("budgets", "workflow_id", "workflow_id"),
    Table("child_costs", "ancestor_id", "workflow_id"),
    Table("booked_effects", "workflow_id", "effect"),
    Table("dead_letters", "workflow_id", "workflow_id"),
    Table("workflow_artifacts", "workflow_id", "artifact_id"),
    Table("platform_logs", "workflow_id", "id"),
)
"""The tables whose rows move to a bundle, in the order in which they are restored."""
MOVED = (*(table.name for table in OWNED), DELIVERIES)
"""The names of all tables whose rows move. The rows of files stay, and a bundle only lists them."""

Columns = dict[str, dict[str, str]]
Row = dict[str, str]
Line = tuple[str, str, str]
"""The workflow of a row, the table, and the row as the text of a JSON object."""


def columns(cursor: Any) -> Columns:
    """The columns of these tables with their types, by the names of the tables."""
    cursor.execute(
        "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod)"
        " FROM pg_attribute WHERE attrelid = ANY (%s::regclass[]) AND attnum > 0"
        " AND NOT attisdropped ORDER BY attrelid, attnum",
        ([*MOVED, ARTIFACTS],),
    )
    found: Columns = {}
    for table, name, kind in cursor.fetchall():
        found.setdefault(table, {})[name] = kind
    return found


def read(cursor: Any, known: Columns, workflows: Sequence[UUID]) -> Iterator[Line]:
    """All rows of these workflows, but their webhooks, table by table."""
    # Texts of ids: to make an object of the id of each row took a tenth of all the time.
    ids = [str(each) for each in workflows]
    for table in (*OWNED, Table(ARTIFACTS, "workflow_id", "id")):
        cursor.execute(
            f"SELECT t.{table.owner}::text, {_text_of(known[table.name])} FROM {table.name} AS t"
            f" WHERE t.{table.owner} = ANY (%s::uuid[]) ORDER BY {table.order}",
            (ids,),
        )
        for owner, text in cursor.fetchall():
            yield owner, table.name, text


def signal_in(event: str) -> str | None:
    """The name of the signal that an event, the text of a row, has received; None for others."""
    if "SignalReceived" not in event:
        return None
    body = json.loads(json.loads(event)["body"])
    return str(body["data"]["name"]) if body["type"] == "SignalReceived" else None


Signals = Iterable[tuple[UUID, str]]
_Pairs = dict[tuple[str, str], UUID]


def _awaited(cursor: Any, workflows: Sequence[UUID], signals: Signals) -> _Pairs:
    """The platform and the external id of each webhook that was for one of these workflows.

    A pair for which steps of several workflows have waited belongs to none of them.
    """
    pairs: dict[tuple[str, str], set[UUID]] = {}

    def add(workflow: UUID, external_id: str, *platforms: str) -> None:
        for platform in platforms:
            pairs.setdefault((platform, external_id), set()).add(workflow)

    cursor.execute(_EXTERNAL, (list(workflows),))
    for workflow, action, external_id, asked_again, key, signal in cursor.fetchall():
        add(workflow, external_id, action.partition(".")[0], "control")
        if signal is not None:
            # An action that asks people waits for a vendor's id, but has its signals under its own.
            add(workflow, signal_id(workflow, signal, key), "control")
        for generation in range(asked_again):
            # A signal that no longer applied was stored under this id (see retry_step_by_hand_v1).
            add(workflow, f"{external_id}#{generation}", "control")
    for workflow, name in signals:
        add(workflow, signal_id(workflow, name), "control")
    for workflow in workflows:
        # That a child has ended was told to its parent by such a delivery; a step may wait for it.
        if ("control", child_id(workflow)) not in pairs:
            add(workflow, child_id(workflow), "control")
    return {pair: next(iter(owners)) for pair, owners in pairs.items() if len(owners) == 1}


_EXTERNAL = """
SELECT s.workflow_id, s.action, s.external_id,
       CASE WHEN s.role = 'approval' THEN s.generation ELSE 0 END, s.key, s.signal
  FROM steps AS s WHERE s.workflow_id = ANY (%s::uuid[]) AND s.external_id IS NOT NULL
"""


def read_deliveries(
    cursor: Any, known: Columns, workflows: Sequence[UUID], signals: Signals
) -> Iterator[Line]:
    """The webhooks and signals that only these workflows have received.

    `signals` are those that their events tell of, each a workflow and a name.
    """
    pairs = _awaited(cursor, workflows, signals)
    ids = list(workflows)
    found: dict[UUID, tuple[UUID, str]] = {}
    cursor.execute(
        f"SELECT t.id, t.platform, t.external_id, {_text_of(known[DELIVERIES])}"
        f" FROM {DELIVERIES} AS t WHERE t.external_id = ANY (%s)"
        " AND NOT EXISTS (SELECT FROM steps AS s WHERE s.external_id = t.external_id"
        "  AND s.workflow_id <> ALL (%s::uuid[]))",
        ([external_id for _, external_id in pairs], ids),
    )
    for id, platform, external_id, text in cursor.fetchall():
        if (platform, external_id) in pairs:
            found[id] = pairs[platform, external_id], text
    cursor.execute(
        f"SELECT t.id, t.effect_workflow_id, {_text_of(known[DELIVERIES])}"
        f" FROM {DELIVERIES} AS t WHERE t.effect_workflow_id = ANY (%s::uuid[])",
        (ids,),
    )
    for id, owner, text in cursor.fetchall():
        found[id] = owner, text
    for id in sorted(found):
        yield str(found[id][0]), DELIVERIES, found[id][1]


def insert(cursor: Any, known: Columns, table: str, rows: str) -> int:
    """Insert rows of a table, given as the text of a JSON array, and return how many.

    A webhook that has come again meanwhile is not inserted. A column that the bundle does not have
    gets its default, and one that the table has no more is left out.
    """
    cursor.execute(
        "SELECT DISTINCT name FROM json_array_elements(%s::json) AS r (row),"
        " json_object_keys(row) AS name",
        (rows,),
    )
    given = {name for (name,) in cursor.fetchall()}
    types = {name: kind for name, kind in known[table].items() if name in given}
    values = ", ".join(f"(row ->> '{name}')::{kind}" for name, kind in types.items())
    again = " ON CONFLICT DO NOTHING" if table == DELIVERIES else ""
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(types)}) OVERRIDING SYSTEM VALUE"
        f" SELECT {values} FROM json_array_elements(%s::json) AS r (row){again}",
        (rows,),
    )
    return int(cursor.rowcount)


def _text_of(types: dict[str, str]) -> str:
    """An expression for a row `t` as the text of a JSON object, without columns that are null."""
    texts = ", ".join(f"t.{name}::text AS {name}" for name in types)
    return f"json_strip_nulls((SELECT row_to_json(r) FROM (SELECT {texts}) AS r))::text"
