"""`playalter bulk`: apply a control to many workflows; without --yes it is a dry run."""

from typing import IO, Any
from uuid import uuid4

import click

from ops.cli.remote.control import given, json_option
from ops.cli.remote.workflows import print_json, read_json, say_more, server

_ACTIONS = ["cancel", "pause", "resume", "retry", "skip", "signal", "fork", "resolve"]


@click.command()
@click.argument("action", type=click.Choice(_ACTIONS))
@click.option("--status", help="running, suspended, failed, ...")
@click.option("--type", "type", help="Only of this type.")
@click.option("--version", type=int, help="Only of this version of the type.")
@click.option("--created-after", help="A time, such as 2026-11-22T10:00:00Z.")
@click.option("--created-before", help="A time.")
@click.option("--attention/--no-attention", default=None, help="Whether they need a person.")
@click.option("--arguments", "file", type=click.File("rb"), help="JSON, the single control's body.")
@click.option("--yes", "is_meant", is_flag=True, help="Apply the control; without it: dry run.")
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True)
@click.option("--cursor", help="Continue after the previous call.")
@click.option("--idempotency-key", help="A repeat with the same key forks and signals only once.")
@json_option
def bulk(
    action: str,
    file: IO[bytes] | None,
    is_meant: bool,
    limit: int,
    cursor: str | None,
    idempotency_key: str | None,
    is_json: bool,
    **filters: Any,
) -> None:
    """Apply ACTION to all workflows that match; at least one filter must be given."""
    body = {
        "action": action,
        "filter": given(**filters),
        "arguments": read_json(file) if file else {},
        "dry_run": not is_meant,
        "limit": limit,
        **given(cursor=cursor),
    }
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    with server() as api:
        answers = api.ask("POST", "workflows/bulk", json=body, headers=headers)
    if is_json:
        print_json(answers)
        return
    for item in answers["items"]:
        note = item["fork_id"] or item["step"] or item["detail"] or ""
        click.echo(f"{item['id']}  {'ok' if item['ok'] else 'refused'}  {item['result']}  {note}")
    verb = "would be done" if answers["dry_run"] else "done"
    click.echo(f"{answers['ok']} {verb}, {answers['refused']} refused")
    say_more(answers)


COMMANDS: dict[str, click.Command] = {"bulk": bulk}
