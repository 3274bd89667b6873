"""Writes the start of a workflow, in a transaction that may be tried again."""

from collections.abc import Callable
from typing import Any

import psycopg2

from app import db, settings
from app.errors import Conflict
from app.files.mentions import mentioned
from chains import registry
from chains.plans.plan import Plan
from chains.starting import deferred
from chains.starting.inputs import timeout_of
from chains.starting.writing import RETIRED, Start, Statement, first_rows_of


def retired(err: psycopg2.errors.CheckViolation) -> Conflict:
    """The error of a start whose version was retired after it was chosen; raise any other."""
    if err.diag.constraint_name != RETIRED:
        raise err
    return Conflict(
        "the version was retired or deleted during this request; send the request again",
        code="version_retired",
    )


def statement(start: Start) -> Statement:
    """The SQL expression that writes a start, and its parameters."""
    if start.deferral is not None:
        return deferred.statement(start)
    plan = registry.plan(start.type, start.version)
    parent = start.parent
    parameters = (
        *_rows(start, plan),
        parent.id if parent else None,
        parent.step_key if parent else None,
        parent.depth if parent else 0,
        plan.budget,
        mentioned(start.text),
        bool(plan.asking),
        start.flow,
    )
    marks = ", ".join(["%s"] * len(parameters))
    return f"start_workflow_v1({marks})", parameters


def commit(start: Start) -> str:
    """Commit a start, and return the verdict of `start_workflow_v1` or `defer_workflow_v1`."""
    expression, parameters = statement(start)
    default = "started" if start.flow is None else "waits"
    written = default if start.deferral is None else "deferred"
    verdict = db.patiently(lambda: _written(lambda: _insert(expression, parameters), written))
    if verdict == "parent_stopped":
        raise Conflict("the workflow that starts this one is stopping", code="parent_stopping")
    return verdict


def _insert(expression: str, parameters: tuple[Any, ...]) -> str:
    row = db.row(f"SELECT {expression} AS verdict", parameters)
    assert row is not None
    return str(row["verdict"])


def _written(write: Callable[[], str], written: str) -> str:
    """The verdict of `write`, which inserts a workflow and may be called again after a try whose
    answer was lost; `written` is its verdict then."""
    try:
        return write()
    except psycopg2.errors.UniqueViolation as err:
        # If the same id exists, the first try has committed, but the connection broke before its
        # answer arrived.
        if err.diag.constraint_name != "workflows_pkey":
            raise
        return written
    except psycopg2.errors.CheckViolation as err:
        raise retired(err) from err


def _rows(start: Start, plan: Plan) -> tuple[Any, ...]:
    """The first arguments of `start_workflow_v1`."""
    return (
        start.id,
        start.user_id,
        start.type,
        start.version,
        start.text,
        start.idempotency_key,
        start.request_hash,
        timeout_of(plan, start.input),
        first_rows_of(start, plan),
        settings.current().republish_seconds,
        start.priority,
    )
