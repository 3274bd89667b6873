"""`playalter cancel|pause|resume|budget|retry|skip|fork`: control one workflow, over HTTP."""

from typing import IO, Any
from uuid import uuid4

import click

from ops.cli.remote.workflows import print_json, read_json, server

workflow_argument = click.argument("workflow_id", type=click.UUID)
reason_option = click.option("--reason", help="The reason, which is recorded.")
input_option = click.option("--input", "file", type=click.File("rb"), help="JSON; - reads stdin.")
json_option = click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")


def given(**values: Any) -> dict[str, Any]:
    """A request body that contains only the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def say(answer: dict[str, Any]) -> None:
    """Print what a control did, in one line."""
    parts = [answer.get("result") or answer.get("status"), answer.get("step")]
    if answer.get("fork_id"):
        parts.append(f"in fork {answer['fork_id']}")
    if len(answer.get("changed") or ()) > 1:
        parts.append(f"with {len(answer['changed']) - 1} children")
    click.echo(" ".join(str(part) for part in parts if part))


@click.command()
@workflow_argument
@click.option("--undo/--no-undo", default=True, show_default=True, help="Undo its effects.")
@reason_option
def cancel(workflow_id: Any, undo: bool, reason: str | None) -> None:
    """Stop a workflow and undo its effects."""
    with server() as api:
        say(api.control(str(workflow_id), "cancel", given(undo=undo, reason=reason)))


@click.command()
@workflow_argument
@click.option("--children/--no-children", default=True, show_default=True)
@reason_option
def pause(workflow_id: Any, children: bool, reason: str | None) -> None:
    """Pause a workflow: no further step starts."""
    with server() as api:
        say(api.control(str(workflow_id), "pause", given(children=children, reason=reason)))


@click.command()
@workflow_argument
@click.option("--children/--no-children", default=True, show_default=True)
@reason_option
def resume(workflow_id: Any, children: bool, reason: str | None) -> None:
    """Resume a paused workflow."""
    with server() as api:
        say(api.control(str(workflow_id), "resume", given(children=children, reason=reason)))


@click.command()
@workflow_argument
@click.argument("budget_usd")
@reason_option
def budget(workflow_id: Any, budget_usd: str, reason: str | None) -> None:
    """Change the budget of a running workflow to BUDGET_USD US dollars, for example 2.50."""
    with server() as api:
        body = given(budget_usd=budget_usd, reason=reason)
        say(api.control(str(workflow_id), "budget", body))


@click.command()
@workflow_argument
@click.argument("step", required=False)
@input_option
@reason_option
def retry(workflow_id: Any, step: str | None, file: IO[bytes] | None, reason: str | None) -> None:
    """Run STEP again now, if it failed or waits for its next attempt.

    Without STEP, the only step in that state is retried. --input changes the fields of the step's
    input that it names; null removes a field. A workflow that has failed continues in a fork.
    """
    body = given(step=step, input=read_json(file) if file else None, reason=reason)
    with server() as api:
        say(api.control(str(workflow_id), "retry", body))


@click.command()
@workflow_argument
@click.argument("step")
@click.option("--reason", required=True, help="The reason, which is recorded.")
def skip(workflow_id: Any, step: str, reason: str) -> None:
    """Skip STEP and continue after it."""
    with server() as api:
        say(api.control(str(workflow_id), "skip", {"step": step, "reason": reason}))


@click.command()
@workflow_argument
@click.argument("from_step")
@input_option
@click.option("--idempotency-key", help="A repeat with the same key starts nothing new.")
@reason_option
@json_option
def fork(
    workflow_id: Any,
    from_step: str,
    file: IO[bytes] | None,
    idempotency_key: str | None,
    reason: str | None,
    is_json: bool,
) -> None:
    """Start a workflow that reuses the outcomes of all steps before FROM_STEP; print its id.

    --input replaces the workflow's input.
    """
    body = given(from_step=from_step, input=read_json(file) if file else None, reason=reason)
    with server() as api:
        made = api.control(str(workflow_id), "fork", body, idempotency_key or uuid4().hex)
    if is_json:
        print_json(made)
    else:
        click.echo(made["id"])


COMMANDS: dict[str, click.Command] = {
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "budget": budget,
    "retry": retry,
    "skip": skip,
    "fork": fork,
}
