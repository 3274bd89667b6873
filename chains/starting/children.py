"""Children: workflows that a step of another workflow starts.

The id of a child is derived from its parent's id and the step's key, so a repeated start finds the
same child.
"""

from typing import Any
from uuid import UUID, uuid5

from app import db
from app.engine.call import Call
from app.errors import Permanent
from app.payload import dumps
from app.platform import Json
from chains import registry
from chains.starting.start import start_child
from chains.starting.writing import Parent

MAX_DEPTH = 20
_CODE = "parent_stopped"
_ERROR = {"code": _CODE, "message": "the workflow that started it was stopped"}


def start(call: Call, request: Json) -> UUID:
    """Start the child that a step asks for, unless it exists, and return its id.

    Raise InvalidInput if the child refuses its input or its version cannot be started, Permanent if
    children are nested too deeply, and Conflict if the parent is stopping.
    """
    depth = _depth(call.workflow_id) + 1
    if depth > MAX_DEPTH:
        raise Permanent(f"children may be at most {MAX_DEPTH} levels deep", code="too_deep")
    # A retry by a person increases the generation, so it starts another child.
    name = f"{call.step_key}/child" + (f"/{call.generation}" if call.generation else "")
    child = uuid5(call.workflow_id, name)
    parent = Parent(call.workflow_id, call.step_key, depth)
    start_child(
        child,
        user_id=call.user_id,
        type=request["type"],
        version=request["version"],
        input=request["input"],
        parent=parent,
    )
    return child


def stop(parent: UUID, step_key: str) -> list[UUID]:
    """Commit the stop of every child that a step has started, and return their ids.

    A child that has succeeded is stopped too, because it must be undone with its parent. The
    reconciler then undoes the children.
    """
    children = [row["id"] for row in _of(parent, step_key)]
    for child in children:
        # A child may succeed between the read and the stop inside `_stop`. The second call then
        # reads the new status.
        _stop(child, parent)
        _stop(child, parent)
    return children


def stop_all(parent: UUID) -> list[UUID]:
    """Commit the stop of the running children of a stopping workflow, and return their ids.

    The children are not undone. Children with `on_stop: leave` keep running.
    """
    found = db.patiently(lambda: db.rows(_CHILDREN, (parent,)))
    running = [row for row in found if not (row["step_input"] or {}).get("is_left")]
    for child in running:
        pivot = registry.plan(child["type"], child["version"]).pivot
        sql = "SELECT stop_workflow_v1(%s, 'cancelled', %s, %s, %s, false)"
        parameters = (child["id"], dumps(_ERROR), _CODE, pivot)
        db.call(sql, parameters, seconds=db.OUTCOME_PATIENCE_SECONDS)
    return [child["id"] for child in running]


_CHILDREN = (
    "SELECT c.id, c.type, c.version, s.input AS step_input"
    " FROM workflows p JOIN workflows c ON c.parent_id = p.id"
    " JOIN steps s ON s.workflow_id = p.id AND s.key = c.parent_key WHERE p.id = %s"
    " AND p.status = 'compensating' AND c.status IN ('pending', 'running')"
)


def _of(parent: UUID, step_key: str) -> list[Json]:
    return db.patiently(
        lambda: db.rows(
            "SELECT id FROM workflows WHERE parent_id = %s AND parent_key = %s ORDER BY id",
            (parent, step_key),
        ),
    )


def _stop(child: UUID, parent: UUID) -> None:
    row = _row(child)
    if row is None:
        return
    pivot = registry.plan(row["type"], row["version"]).pivot
    if row["status"] == "succeeded":
        sql = "SELECT reopen_child_v1(%s, %s, %s, %s, %s)"
        parameters: tuple[Any, ...] = (child, parent, dumps(_ERROR), _CODE, pivot)
    else:
        sql = "SELECT stop_workflow_v1(%s, 'cancelled', %s, %s, %s, true)"
        parameters = (child, dumps(_ERROR), _CODE, pivot)
    db.call(sql, parameters, seconds=db.OUTCOME_PATIENCE_SECONDS)


def _row(workflow_id: UUID) -> Json | None:
    return db.call(
        "SELECT status, type, version, depth FROM workflows WHERE id = %s", (workflow_id,)
    )


def _depth(workflow_id: UUID) -> int:
    row = _row(workflow_id)
    return 0 if row is None else int(row["depth"])
