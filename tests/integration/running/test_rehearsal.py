"""The kit for users' tests against the real engine: the same definitions, run both ways."""

import json
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.keys import signal_id
from app.platform import Json
from app.queries.human_tasks import unknown_addresses
from chains.catalogue import versions
from chains.incoming import intake
from chains.incoming.events import read_event
from chains.rehearsal import Run, rehearse
from tests.integration.chance import Chance
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.integration.rehearsed import CASES, Case


@pytest.mark.parametrize("kind", CASES)
def test_a_rehearsal_ends_as_the_engine_does(kernel: Kernel, kind: str) -> None:
    for name, case in CASES[kind].items():
        assert _told(_kit_run(case)) == _recorded(kernel, _engine_run(kernel, case)), name


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))]
)
def test_definitions_made_by_chance_end_alike(kernel: Kernel, seed: int) -> None:
    made = [Chance(100 * seed + number).case() for number in range(12)]
    ends = set()
    for case in made:
        told = _told(_kit_run(case))
        assert told == _recorded(kernel, _engine_run(kernel, case)), json.dumps(case.do)
        ends.add(told["status"])
    assert len(ends) > 1


def test_a_rehearsal_can_ask_the_database_which_approvers_are_users(kernel: Kernel) -> None:
    asks = {"approval": "review", "by": ["Ada@example.com", "nobody@example.com"]}
    (warning,) = rehearse({"name": "asked", "do": asks}, users=unknown_addresses).warnings
    assert "no user has the address nobody@example.com," in warning


def _kit_run(case: Case) -> Run:
    return rehearse(
        {"name": "rehearsed", "do": case.do, **case.rest},
        input=case.input,
        signals=case.signals,
        events=case.events,
        definitions=case.children,
    )


def _engine_run(kernel: Kernel, case: Case) -> UUID:
    for child, rest in case.children.items():
        versions.register({"name": child, **rest}, activates=True)
    versions.register({"name": "rehearsed", "do": case.do, **case.rest}, activates=True)
    workflow = kernel.start("rehearsed", case.input)
    for number, (signal, payload) in enumerate(case.signals):
        _signal(workflow, signal, number, payload)
    events = [{"source": "test", "id": f"{workflow} {n}", **e} for n, e in enumerate(case.events)]
    intake.accept(kernel.user_id, [read_event(each) for each in events])
    _carry(workflow)
    return workflow


def _signal(workflow: UUID, name: str, number: int, payload: Json) -> None:
    db.row(
        "SELECT * FROM signal_workflow_v1(%s, %s, %s, NULL, %s, %s, 15)",
        (workflow, name, signal_id(workflow, name), f"{workflow}:{number}", json.dumps(payload)),
    )


def _carry(workflow: UUID) -> None:
    """Drive the workflow and its children to their ends, letting time pass as they ask for."""
    for _ in range(60):
        drive(2000)
        left = db.row(_NEXT, (workflow,))
        if left is None or left["seconds"] is None:
            return
        pass_time(f"{left['seconds']} seconds")
    raise AssertionError("the workflow has not ended")


_NEXT = """
WITH RECURSIVE mine AS (
    SELECT * FROM workflows WHERE id = %s
    UNION ALL SELECT w.* FROM workflows w JOIN mine ON w.parent_id = mine.id)
SELECT CASE WHEN min(wake_at) IS NOT NULL THEN greatest(2, 0.01 + extract(epoch FROM
         least(min(wake_at), min(w.expires_at) FILTER (WHERE w.status = 'running'))
         - playalter_now())) END AS seconds
  FROM mine w LEFT JOIN steps s ON s.workflow_id = w.id
   AND s.status IN ('waiting', 'pending', 'unknown')
 WHERE w.completed_at IS NULL
"""


def _told(run: Run) -> Json:
    return {
        "status": run.status,
        "output": run.output,
        "code": (run.error or {}).get("code"),
        "message": _plain((run.error or {}).get("message")),
        "attention": run.attention,
        "undone": run.undone,
        "steps": {
            key: (
                step.status,
                _scrubbed(step.input),
                _scrubbed(step.output),
                (step.error or {}).get("code"),
            )
            for key, step in run.steps.items()
        },
        "children": {key: _told(child) for key, child in run.children.items()},
    }


def _recorded(kernel: Kernel, workflow: UUID) -> Json:
    row = kernel.workflow(workflow)
    steps = db.rows("SELECT * FROM steps WHERE workflow_id = %s", (workflow,))
    children = db.rows("SELECT id, parent_key FROM workflows WHERE parent_id = %s", (workflow,))
    return {
        "status": row["status"],
        "output": row["output"],
        "code": (row["error"] or {}).get("code"),
        "message": _plain((row["error"] or {}).get("message")),
        "attention": row["attention"],
        "undone": [
            event["step"] for event in kernel.events(workflow) if event["type"] == "StepCompensated"
        ],
        "steps": {
            each["key"]: (
                each["status"],
                _scrubbed(each["input"]),
                _scrubbed(each["output"]),
                (each["error"] or {}).get("code"),
            )
            for each in steps
        },
        "children": {each["parent_key"]: _recorded(kernel, each["id"]) for each in children},
    }


def _scrubbed(value: Any) -> Any:
    """Without what differs from run to run: the ids of children and events, and instants."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name not in _DIFFERENT}
        return {name: _scrubbed(each) for name, each in kept.items()}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value


_DIFFERENT = {"workflow", "until", "event_id", "received_at", "source", "id"}


def _plain(message: str | None) -> str | None:
    """Without ids and instants."""
    return None if message is None else " ".join(w for w in message.split() if "-" not in w)
