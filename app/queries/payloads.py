"""The inputs and outputs of a workflow's steps, as far as they fit into one answer.

Invariant: however large the payloads together are, a few of them are in memory beyond MOST_BYTES.
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, cast, or_, select

from app.db.models import StepRow

MOST_BYTES = 8 * 2**20
"""The most bytes of all payloads in one answer, in UTF-8."""
_ROWS_AT_ONCE = 8

Payloads = Mapping[str, tuple[Any, Any]]
"""By key of a step: its input and its output."""


def step_payloads(
    connection: Connection, workflow_id: UUID, step: str | None = None
) -> tuple[Payloads, bool]:
    """The payloads of the steps in order, and whether some did not fit; or those of one step."""
    inner = (
        select(StepRow.key, StepRow.input, StepRow.output)
        .where(StepRow.workflow_id == workflow_id)
        .where(or_(StepRow.input.is_not(None), StepRow.output.is_not(None)))
        .order_by(StepRow.position, StepRow.key)
    )
    if step is not None:
        inner = inner.where(StepRow.key == step)
    # Without OFFSET 0, PostgreSQL would read and convert all payloads before it sorts the rows.
    ordered = inner.offset(0).subquery()
    given, made = (cast(column, Text) for column in (ordered.c.input, ordered.c.output))
    rows = select(ordered.c.key, given, made).execution_options(yield_per=_ROWS_AT_ONCE)
    found: dict[str, tuple[Any, Any]] = {}
    left = MOST_BYTES
    with connection.execute(rows) as result:
        for key, *texts in result:
            left -= sum(len(text.encode()) for text in texts if text)
            if left < 0 and step is None:
                return found, True
            found[key] = (_value(texts[0]), _value(texts[1]))
    return found, False


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
