"""Workflows that gather starts: what they have gathered becomes their input when they are due.

That is done in three steps, each of which may be repeated: the gathering is closed, so that further
starts open another one; its items are read; and they become the workflow's input.
"""

import json
from dataclasses import replace
from typing import Any

from app import db
from app.errors import InvalidInput
from app.payload import dumps
from chains import registry
from chains.flow.stored import flow_of
from chains.language.definition import Definition
from chains.starting.inputs import check_input, refuse_many_steps, timeout_of
from chains.starting.writing import Start


def completed(start: Start) -> Start | None:
    """A pending start with the input that it has gathered; None if it may not begin now.

    A start of a definition without `debounce` and `batch` is returned as it is. A workflow whose
    input is wrong, or whose keys fail, for all its items together is stopped.
    """
    definition = registry.definition(start.type, start.version)
    flow = definition.flow
    if flow is None or (flow.debounce is None and flow.batch is None):
        return start
    closed = db.row("SELECT close_gathering_v1(%s) AS is_closed", (start.id,))
    if closed is None or not closed["is_closed"]:
        return None
    # In one statement: another process may collect the items at this moment.
    found = db.row(_FOUND, (start.id,))
    if found is None:
        return None
    items = found["items"]
    given = {"items": [json.loads(each) for each in items]} if items else found["input"]
    return _with(start, definition, given, is_collected=bool(items))


_FOUND = (
    "SELECT w.input, ARRAY(SELECT i.input::text FROM start_items AS i"
    " WHERE i.workflow_id = w.id ORDER BY i.number) AS items FROM workflows AS w WHERE w.id = %s"
)


def _with(start: Start, definition: Definition, given: Any, *, is_collected: bool) -> Start | None:
    plan = registry.plan(start.type, start.version)
    try:
        if is_collected:
            # Each of them was checked as the only item.
            check_input(definition.input_schema, given, start.user_id)
            refuse_many_steps(plan, given)
            timeout_of(plan, given)
        terms = flow_of(definition, given, start.user_id)
    except InvalidInput as err:
        error = dumps({"code": err.code, "message": err.message})
        db.row(
            "SELECT stop_workflow_v1(%s, 'failed', %s, %s, %s, true)",
            (start.id, error, err.code, plan.pivot),
        )
        return None
    db.row("SELECT collect_starts_v1(%s, %s, %s)", (start.id, dumps(given), terms))
    return replace(start, input=given)
