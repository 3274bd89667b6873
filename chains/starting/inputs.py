"""Checks a workflow's input: against the JSON Schema of its definition, and whether its artifacts
exist and belong to the user; and makes from it the workflow's time-out."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app import db
from app.errors import InvalidInput, Permanent
from chains.language.definition import LONGEST_SECONDS
from chains.language.expressions import MARK, render
from chains.language.schema import artifacts_in, check_shape, refuse_faults
from chains.plans.counting import MAX_ROWS, least_steps
from chains.plans.plan import Plan
from chains.running.waits import SHORTEST_SECONDS, seconds_of

DEFAULT_TIMEOUT_SECONDS = 366 * 86400.0


def check_input(schema: dict[str, Any], value: Any, user_id: UUID) -> None:
    """Raise InvalidInput, with the faults, if the input is wrong. Pointers start with `/input`."""
    check_shape(schema, value)
    refuse_faults(_absent_artifacts(list(artifacts_in(schema, value, "/input", schema)), user_id))


def refuse_many_steps(plan: Plan, value: dict[str, Any]) -> None:
    """Raise InvalidInput if the workflow would certainly have too many steps with this input."""
    if least_steps(plan, value) > MAX_ROWS:
        raise InvalidInput(
            f"with this input, the workflow has more than {MAX_ROWS} steps; use fewer items, or"
            " start a workflow for each of them",
            field="/input",
            code="too_many_steps",
        )


def timeout_of(plan: Plan, value: dict[str, Any]) -> float:
    """The workflow's time-out in seconds from its start, made from its input if it is a reference.

    Raise InvalidInput, with the JSON pointer to the value, if it is no duration.
    """
    if not isinstance(plan.timeout, Mapping):
        return plan.timeout or DEFAULT_TIMEOUT_SECONDS
    try:
        found = render(plan.timeout, {"input": value})
        return seconds_of("timeout", found, SHORTEST_SECONDS, LONGEST_SECONDS)
    except (Permanent, ArithmeticError, TypeError, ValueError) as err:
        message = err.message if isinstance(err, Permanent) else str(err)
        field = _pointer(plan.timeout[MARK])
        raise InvalidInput(
            f"the workflow's time-out: {message}", field=field, code="not_a_duration"
        ) from err


def _pointer(expression: str) -> str:
    """The JSON pointer to what an expression reads, or to the whole input if it is no plain path.

    >>> _pointer("input.order.most"), _pointer("input.days || '1d'")
    ('/input/order/most', '/input')
    """
    return "/" + expression.replace(".", "/") if _PATH.fullmatch(expression) else "/input"


_PATH = re.compile(r"input(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)


def _absent_artifacts(wanted: list[tuple[str, UUID]], user_id: UUID) -> list[tuple[str, str]]:
    if not wanted:
        return []
    with db.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT id FROM artifacts WHERE user_id = :user AND id = ANY (:ids)"
                " AND erased_at IS NULL"
            ),
            {"user": user_id, "ids": [artifact_id for _, artifact_id in wanted]},
        )
        known = {row.id for row in rows}
    return [
        (pointer, f"there is no artifact {artifact_id}; upload it with POST /v1/artifacts")
        for pointer, artifact_id in wanted
        if artifact_id not in known
    ]
