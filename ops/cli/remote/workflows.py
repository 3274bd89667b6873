"""`playalter submit|watch|status|authentication|list`: start and show workflows, over HTTP."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID, uuid4

import click

from ops.cli.exits import FAILED, OK, UNREACHABLE, USAGE, leave

if TYPE_CHECKING:  # requests and rich take longer to import than the rest of a call
    from ops.cli.remote.api import Api

DEFAULT_URL = "http://127.0.0.1:8000"


def is_configured() -> bool:
    """Whether an API key is set."""
    return bool(os.environ.get("PLAYALTER_API_KEY"))


@contextlib.contextmanager
def server() -> Iterator["Api"]:
    """A client of the server in PLAYALTER_URL; a failed request in the context ends the command."""
    from ops.cli.remote.api import Api, CannotReach, Refused

    key = os.environ.get("PLAYALTER_API_KEY", "")
    if not key:
        leave(USAGE, "PLAYALTER_API_KEY is not set; `playalter keys create EMAIL` creates a key")
    try:
        yield Api(os.environ.get("PLAYALTER_URL") or DEFAULT_URL, key)
    except CannotReach as err:
        leave(UNREACHABLE, str(err))
    except Refused as err:
        leave(USAGE, str(err))


@click.command()
@click.argument("type")
@click.option("--input", "file", type=click.File("rb"), required=True, help="JSON; - reads stdin.")
@click.option("--idempotency-key", help="A repeat with the same key starts nothing new.")
@click.option("--version", type=click.IntRange(1), help="A version instead of the active one.")
@click.option("--at", "start_at", help="Start at this instant, such as 2027-01-31T09:00:00+01:00.")
@click.option("--delay", help="Start so long after now, such as 90s, 10m, 2h or 30d.")
@click.option(
    "--within",
    "start_within",
    help="Stop it if it has not started so long after that, or after now.",
)
@click.option("--watch", "is_watched", is_flag=True, help="Show its events until it ends.")
def submit(
    type: str, file: IO[bytes], idempotency_key: str | None, is_watched: bool, **options: Any
) -> None:
    """Start a workflow of TYPE and print its id."""
    given = read_json(file)
    with server() as api:
        started = api.start(type, given, idempotency_key or uuid4().hex, **options)
        click.echo(started["id"])
        if words := _FLOW.get(started.get("flow") or ""):
            click.echo(words, err=True)
        for warning in started["warnings"]:
            click.echo(warning, err=True)
        if is_watched:
            _follow(api, started["id"])


_FLOW = {
    "waits": "it waits by the flow control of its definition",
    "joined": "the input is part of this workflow, which waits for further starts",
    "live": "nothing was started: this workflow of the singleton has not ended",
}


@click.command()
@click.argument("workflow_id", type=click.UUID)
def watch(workflow_id: Any) -> None:
    """Show a workflow's events until it ends; the exit code is 0 only if it succeeds."""
    with server() as api:
        _follow(api, str(workflow_id))


@click.command()
@click.argument("workflow_id", type=click.UUID)
@click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")
def status(workflow_id: Any, is_json: bool) -> None:
    """Show a workflow and its steps."""
    with server() as api:
        workflow = api.workflow(str(workflow_id))
    if is_json:
        print_json(workflow)
        return
    from ops.cli.remote.show import console, panel

    console().print(panel(workflow, most_rows=1000))


@click.command()
@click.argument("workflow_id", type=click.UUID)
@click.argument("step")
@click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")
def authentication(workflow_id: Any, step: str, is_json: bool) -> None:
    """Show what a customer needs to authenticate the payment for which STEP waits.

    Give it to that customer's browser only: whoever has it may act for the customer.
    """
    with server() as api:
        path = f"workflows/{workflow_id}/steps/{quote(step, safe='')}/authentication"
        found = api.ask("GET", path)
    if is_json:
        print_json(found)
        return
    for name, value in found.items():
        if value is not None:
            click.echo(f"{name}: {value}")


@click.command("list")
@click.option("--status", "wanted", help="running, suspended, succeeded, failed, ...")
@click.option("--type", "type", help="Only of this type.")
@click.option("--parent", type=click.UUID, help="Only the children of this workflow.")
@click.option("--roots", "is_root", is_flag=True, help="Only workflows without a parent.")
@click.option("--archived", is_flag=True, help="Archived workflows instead of the others.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--cursor", help="Continue after the previous page.")
@click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")
def list_workflows(
    wanted: str | None, parent: UUID | None, is_root: bool, is_json: bool, **filters: Any
) -> None:
    """List workflows, the last started first."""
    chosen = {"status": wanted, "parent_id": parent, "is_root": "true" if is_root else None}
    filters["archived"] = "true" if filters["archived"] else None
    with server() as api:
        page = api.workflows(**chosen, **filters)
    if is_json:
        print_json(page)
        return
    from ops.cli.remote.show import console, table_of

    console().print(table_of(page["items"]))
    say_more(page)


def _follow(api: "Api", workflow_id: str) -> None:
    from ops.cli.remote.show import event_line

    for event in api.events(workflow_id):
        click.echo(event_line(event))
    workflow = api.workflow(workflow_id)
    error = workflow["error"] or {}
    click.echo(" ".join(filter(None, (workflow["status"], error.get("message")))))
    if workflow.get("output") is not None:
        print_json(workflow["output"])
    sys.exit(OK if workflow["status"] == "succeeded" else FAILED)


def read_json(file: IO[bytes]) -> Any:
    """Parse a file or stdin as JSON; invalid JSON ends the command."""
    try:
        return json.load(file)
    except ValueError as err:
        leave(USAGE, f"{file.name}: not JSON: {err}")


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say_more(page: dict[str, Any]) -> None:
    """Say how to read the next page, if there is one."""
    if page["next_cursor"]:
        click.echo(f"more: --cursor {page['next_cursor']}")


def time_of(text: str | None) -> str:
    """A time of the API (UTC) without its fraction, or nothing."""
    return (text or "")[:19].replace("T", " ")


COMMANDS: dict[str, click.Command] = {
    "submit": submit,
    "watch": watch,
    "status": status,
    "authentication": authentication,
    "list": list_workflows,
}
