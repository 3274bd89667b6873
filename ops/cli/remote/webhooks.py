"""`playalter webhooks`: addresses to which events of workflows are sent, over HTTP."""

from typing import Any

import click

from ops.cli.exits import FAILED
from ops.cli.remote.control import given, json_option
from ops.cli.remote.people import cursor_option, limit_option
from ops.cli.remote.workflows import print_json, say_more, server, time_of

Json = dict[str, Any]

endpoint_argument = click.argument("endpoint_id", metavar="ID", type=click.UUID)
event_option = click.option(
    "--event", "events", multiple=True, help="A type of event, such as workflow.failed."
)


@click.group()
def webhooks() -> None:
    """Have events of your workflows sent to addresses, signed, and see what became of that."""


@webhooks.command()
@click.argument("url")
@event_option
@click.option("--description", help="What the endpoint is for.")
@click.option("--children", is_flag=True, help="Also the starts and ends of child workflows.")
@json_option
def create(
    url: str, events: tuple[str, ...], description: str | None, children: bool, is_json: bool
) -> None:
    """Have events sent to URL, and print the id and the secret of the new endpoint.

    Without --event, all types are sent. The secret is not shown again.
    """
    types = list(events) or None
    body = given(url=url, event_types=types, description=description, with_children=children)
    with server() as api:
        made = api.ask("POST", "webhooks", json=body)
    if is_json:
        print_json(made)
        return
    click.echo(made["id"])
    click.echo(made["secret"])
    click.echo("the second line is the secret, which is not shown again", err=True)


@webhooks.command("list")
@cursor_option
@limit_option
@json_option
def list_endpoints(cursor: str | None, limit: int, is_json: bool) -> None:
    """List the endpoints and their states."""
    with server() as api:
        page = api.ask("GET", "webhooks", params=given(cursor=cursor, limit=limit))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        click.echo("  ".join([item["id"], _state(item), item["url"], *_owner(item)]))
    say_more(page)


@webhooks.command()
@endpoint_argument
@json_option
def show(endpoint_id: Any, is_json: bool) -> None:
    """Show an endpoint and the last attempts at it."""
    with server() as api:
        found = api.ask("GET", f"webhooks/{endpoint_id}")
    if is_json:
        print_json(found)
        return
    click.echo(f"{found['url']}  {_state(found)}  {found['waiting']} waiting")
    if found["description"]:
        click.echo(found["description"])
    click.echo(f"events: {', '.join(found['event_types'] or ['all'])}")
    for attempt in found["attempts"]:
        click.echo(_line(attempt))


@webhooks.command()
@endpoint_argument
@click.option("--url", help="Another address.")
@event_option
@click.option("--all-events", is_flag=True, help="Send all types of events.")
@click.option("--description", help="What the endpoint is for.")
@click.option("--children/--no-children", default=None, help="Child workflows too, or not.")
def change(
    endpoint_id: Any,
    url: str | None,
    events: tuple[str, ...],
    all_events: bool,
    description: str | None,
    children: bool | None,
) -> None:
    """Change an endpoint; what is not given stays."""
    if events and all_events:
        raise click.UsageError("--event and --all-events exclude each other; give one of them")
    body = given(url=url, description=description, with_children=children)
    if events or all_events:
        body["event_types"] = list(events) or None
    with server() as api:
        found = api.ask("PATCH", f"webhooks/{endpoint_id}", json=body)
    click.echo(f"{found['url']}  {_state(found)}")


@webhooks.command()
@endpoint_argument
def delete(endpoint_id: Any) -> None:
    """Delete an endpoint."""
    with server() as api:
        click.echo(api.ask("DELETE", f"webhooks/{endpoint_id}")["result"])


@webhooks.command()
@endpoint_argument
@click.option(
    "--former-hours",
    type=click.FloatRange(0, 168),
    default=24.0,
    show_default=True,
    help="For how long the former secret signs too.",
)
def rotate(endpoint_id: Any, former_hours: float) -> None:
    """Make a new secret for an endpoint, and print it."""
    with server() as api:
        body = {"former_hours": former_hours}
        click.echo(api.ask("POST", f"webhooks/{endpoint_id}/rotate", json=body)["secret"])


@webhooks.command()
@endpoint_argument
def disable(endpoint_id: Any) -> None:
    """Send nothing more to an endpoint."""
    with server() as api:
        click.echo(api.ask("POST", f"webhooks/{endpoint_id}/disable")["result"])


@webhooks.command()
@endpoint_argument
@click.option("--replay", is_flag=True, help="Also send what it has missed.")
def enable(endpoint_id: Any, replay: bool) -> None:
    """Send to a disabled endpoint again."""
    with server() as api:
        _say_replayed(api.ask("POST", f"webhooks/{endpoint_id}/enable", json={"replay": replay}))


@webhooks.command()
@endpoint_argument
@json_option
def ping(endpoint_id: Any, is_json: bool) -> None:
    """Send a test message to an endpoint, and show what it has answered."""
    with server() as api:
        found = api.ask("POST", f"webhooks/{endpoint_id}/ping")
    if is_json:
        print_json(found)
    elif found["outcome"] == "pending":
        click.echo("not sent yet: is `playalter hooks` running?", err=True)
    else:
        click.echo(_answered(found))
        if found["reply"]:
            click.echo(found["reply"])
    if found["outcome"] != "delivered":
        raise SystemExit(FAILED)


@webhooks.command()
@endpoint_argument
@cursor_option
@limit_option
@json_option
def attempts(endpoint_id: Any, cursor: str | None, limit: int, is_json: bool) -> None:
    """List the attempts at an endpoint, the last first."""
    with server() as api:
        path = f"webhooks/{endpoint_id}/attempts"
        page = api.ask("GET", path, params=given(cursor=cursor, limit=limit))
    if is_json:
        print_json(page)
        return
    for attempt in page["items"]:
        click.echo(_line(attempt))
    say_more(page)


@webhooks.command()
@endpoint_argument
@click.option("--status", type=click.Choice(["waiting", "delivered", "undelivered"]))
@cursor_option
@limit_option
@json_option
def messages(
    endpoint_id: Any, status: str | None, cursor: str | None, limit: int, is_json: bool
) -> None:
    """List the messages for an endpoint and what becomes of them, newest first."""
    with server() as api:
        path = f"webhooks/{endpoint_id}/messages"
        page = api.ask("GET", path, params=given(status=status, cursor=cursor, limit=limit))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        at = time_of(item["created_at"])
        kind, state, of = item["type"] or "", item["status"], item["workflow_id"] or ""
        tries = f"{item['attempts']} tries"
        click.echo(f"{at}  {item['message_id']}  {kind}  {state}  {tries}  {of}".rstrip())
    say_more(page)


@webhooks.command()
@endpoint_argument
@click.option("--message", help="Only this message (msg_...).")
@click.option("--since", help="Messages from this time on, such as 2026-11-29T00:00:00Z.")
@click.option("--until", help="Messages before this time.")
@click.option("--delivered", is_flag=True, help="Also those that were delivered.")
def replay(
    endpoint_id: Any, message: str | None, since: str | None, until: str | None, delivered: bool
) -> None:
    """Send again what has failed or was missed. Messages keep their ids."""
    if message and (since or until or delivered):
        raise click.UsageError("--message excludes the other options")
    with server() as api:
        path = f"webhooks/{endpoint_id}"
        if message:
            _say_replayed(api.ask("POST", f"{path}/messages/{message}/replay"))
            return
        body = given(since=since, until=until, delivered=delivered)
        _say_replayed(api.ask("POST", f"{path}/replay", json=body))


def _say_replayed(found: Json) -> None:
    more = "; there are more, repeat the command" if found["has_more"] else ""
    click.echo(f"{found['replayed']} messages are sent again{more}")


def _state(item: Json) -> str:
    reason = f" ({item['disabled_reason']})" if item["disabled_reason"] else ""
    return f"{item['status']}{reason}"


def _owner(item: Json) -> list[str]:
    return [item["owner"]] if item["owner"] else []


def _line(attempt: Json) -> str:
    at = time_of(attempt["created_at"])
    kind, number = attempt["type"] or "", attempt["attempt"]
    return f"{at}  {attempt['message_id']}  {kind}  try {number}  {_answered(attempt)}"


def _answered(attempt: Json) -> str:
    what = attempt["error"] if attempt["status"] is None else f"answered {attempt['status']}"
    return f"{what} in {attempt['milliseconds']} ms"


COMMANDS: dict[str, click.Command] = {"webhooks": webhooks}
