"""Checks a workflow's input: against the JSON Schema of its definition, and whether its artifacts
exist and belong to the user."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from app import db
from app.errors import InvalidInput
from chains.language.schema import artifacts_in, check_shape, refuse_faults
from chains.plans.counting import MAX_ROWS, least_steps
from chains.plans.plan import Plan


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
