"""`playalter dead-letters`: list, count, replay and dismiss what has failed for good, over HTTP."""

from collections.abc import Callable
from typing import IO, Any
from uuid import uuid4

import click

from ops.cli.exits import USAGE, leave
from ops.cli.remote.control import given, json_option
from ops.cli.remote.workflows import print_json, read_json, say_more, server, time_of

Command = Callable[..., Any]

_FILTERS = (
    click.option("--type", "type", help="Only of this type."),
    click.option("--cause", type=click.Choice(["failed", "timed_out", "over_budget"])),
    click.option("--error-code", help="Only with this code of the error."),
    click.option("--action", help="Only where a step with this action failed."),
    click.option("--platform", help="Only where a step on this platform failed."),
    click.option("--ended-after", help="A time, such as 2026-11-22T10:00:00Z."),
    click.option("--ended-before", help="A time."),
)
_CHOICE = (
    click.argument("workflow_ids", type=click.UUID, nargs=-1),
    *_FILTERS,
    click.option("--yes", "is_meant", is_flag=True, help="Do it; without it: dry run."),
    click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True),
    click.option("--cursor", help="Continue after the previous call."),
    json_option,
)
_state_option = click.option(
    "--state", type=click.Choice(["open", "replayed", "dismissed"]), default="open"
)


def _options(options: tuple[Command, ...]) -> Command:
    """A decorator that adds all these options, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group("dead-letters")
def dead_letters() -> None:
    """List what has failed for good, and replay or dismiss it."""


@dead_letters.command("list")
@_state_option
@_options(_FILTERS)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--cursor", help="Continue after the previous page.")
@json_option
def list_letters(is_json: bool, **filters: Any) -> None:
    """List the workflows that have failed for good, the last ended first."""
    with server() as api:
        page = api.ask("GET", "dead-letters", params=given(**filters))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        click.echo(_line(item))
        click.echo(f"  {item['error'].get('message') or item['error_code']}")
        if item["undone"]:
            more = ", ..." if item["has_more_undone"] else ""
            click.echo(f"  undone: {', '.join(item['undone'])}{more}")
        if note := item["replay_id"] or item["note"]:
            click.echo(f"  {item['state']}: {note}")
    say_more(page)


@dead_letters.command()
@_state_option
@_options(_FILTERS)
@json_option
def groups(is_json: bool, **filters: Any) -> None:
    """Count them by error, type and action, the largest group first."""
    with server() as api:
        found = api.ask("GET", "dead-letters/groups", params=given(**filters))
    if is_json:
        print_json(found)
        return
    for item in found["items"]:
        words = [str(item["count"]), item["error_code"], item["type"], item["action"] or "-"]
        times = f"{time_of(item['first_at'])} to {time_of(item['last_at'])}"
        click.echo("  ".join([*words, times, f"e.g. {item['example']}"]))
    if not found["is_complete"]:
        click.echo("there are more: only the newest are counted, in the largest groups")


@dead_letters.command()
@_options(_CHOICE)
@click.option(
    "--from",
    "begins",
    type=click.Choice(["failed_step", "beginning"]),
    help="Where it begins; needed with --input. By default the failed step.",
)
@click.option(
    "--input", "file", type=click.File("rb"), help="JSON, a merge patch of each input; - is stdin."
)
@click.option("--reason", help="The reason, which is recorded.")
@click.option("--idempotency-key", help="A repeat with the same key replays no replay of its own.")
def replay(
    begins: str | None,
    file: IO[bytes] | None,
    reason: str | None,
    idempotency_key: str | None,
    **rest: Any,
) -> None:
    """Replay the workflows WORKFLOW_IDS, or all that match the filters.

    Each is replayed once, however often this is called. A replay keeps the outcomes of the steps
    before the one that failed, where it can; otherwise, and with --from beginning, it starts anew.
    """
    body = given(input=read_json(file) if file else None, reason=reason) | given(**{"from": begins})
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    _settle("replay", body, headers, **rest)


@dead_letters.command()
@_options(_CHOICE)
@click.option("--reason", required=True, help="Why they need no replay; this is recorded.")
def dismiss(reason: str, **rest: Any) -> None:
    """Take the workflows WORKFLOW_IDS, or all that match the filters, out of the list."""
    _settle("dismiss", {"reason": reason}, {}, **rest)


def _settle(
    verb: str,
    body: dict[str, Any],
    headers: dict[str, str],
    *,
    workflow_ids: tuple[Any, ...],
    is_meant: bool,
    is_json: bool,
    limit: int,
    cursor: str | None,
    **filters: Any,
) -> None:
    chosen = given(**filters)
    if bool(workflow_ids) == bool(chosen):
        leave(USAGE, "name either workflows or at least one filter")
    which = {"ids": [str(each) for each in workflow_ids]} if workflow_ids else {"filter": chosen}
    sent = body | which | given(dry_run=not is_meant, limit=limit, cursor=cursor)
    with server() as api:
        answers = api.ask("POST", f"dead-letters/{verb}", json=sent, headers=headers)
    if is_json:
        print_json(answers)
        return
    for item in answers["items"]:
        note = item["replay_id"] or item["step"] or item["detail"] or ""
        click.echo(f"{item['id']}  {'ok' if item['ok'] else 'refused'}  {item['result']}  {note}")
    words = "would be done" if answers["dry_run"] else "done"
    click.echo(f"{answers['ok']} {words}, {answers['refused']} refused")
    say_more(answers)


def _line(item: dict[str, Any]) -> str:
    words = [item[name] for name in ("id", "type", "status", "error_code")]
    ways = ", ".join(each["step"] or each["from"] for each in item["replays"])
    more = [item["step"] and f"step {item['step']}", ways and f"replay from {ways}", item["owner"]]
    return "  ".join([*words, time_of(item["ended_at"]), *filter(None, more)])


COMMANDS: dict[str, click.Command] = {"dead-letters": dead_letters}
