"""`playalter approvals|approver-groups|approve|reject|signal|attention|platforms|resolve|
dismiss`: what people have to know, and their decisions."""

import textwrap
from typing import IO, Any
from urllib.parse import quote
from uuid import uuid4

import click

from ops.cli.money.amounts import difference
from ops.cli.remote.control import given, json_option, say, workflow_argument
from ops.cli.remote.workflows import print_json, read_json, say_more, server, time_of

cursor_option = click.option("--cursor", help="Continue after the previous page.")
limit_option = click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
comment_option = click.option("--comment", help="A comment, which is recorded.")
step_option = click.option("--step", help="The step of the approval, if several wait.")
data_option = click.option(
    "--data", "file", type=click.File("rb"), help="JSON for the steps that follow; - reads stdin."
)


def _give(workflow_id: Any, name: str, body: dict[str, Any]) -> None:
    with server() as api:
        # Quote the name: names in definitions are harmless, but a typing error must not change the
        # path of the request.
        say(api.control(str(workflow_id), f"signals/{quote(name, safe='')}", body, uuid4().hex))


@click.command()
@workflow_argument
@click.argument("name")
@comment_option
@step_option
@data_option
def approve(
    workflow_id: Any, name: str, comment: str | None, step: str | None, file: IO[bytes] | None
) -> None:
    """Approve the step that waits for the signal NAME."""
    data = read_json(file) if file else None
    _give(workflow_id, name, given(approved=True, comment=comment, step=step, data=data))


@click.command()
@workflow_argument
@click.argument("name")
@comment_option
@step_option
@data_option
def reject(
    workflow_id: Any, name: str, comment: str | None, step: str | None, file: IO[bytes] | None
) -> None:
    """Reject the step that waits for the signal NAME."""
    data = read_json(file) if file else None
    _give(workflow_id, name, given(approved=False, comment=comment, step=step, data=data))


@click.command()
@workflow_argument
@click.argument("name")
@click.option("--yes/--no", "is_approved", required=True, default=None, help="The decision.")
@click.option("--idempotency-key", help="A repeat with the same key decides nothing new.")
@comment_option
@step_option
@data_option
def signal(
    workflow_id: Any,
    name: str,
    is_approved: bool,
    idempotency_key: str | None,
    comment: str | None,
    step: str | None,
    file: IO[bytes] | None,
) -> None:
    """Send the signal NAME; it is stored until an approval takes it."""
    data = read_json(file) if file else None
    body = given(approved=is_approved, comment=comment, step=step, data=data)
    with server() as api:
        path = f"signals/{quote(name, safe='')}"
        say(api.control(str(workflow_id), path, body, idempotency_key or uuid4().hex))


@click.command()
@cursor_option
@limit_option
@json_option
def approvals(cursor: str | None, limit: int, is_json: bool) -> None:
    """List the approvals that wait for a decision."""
    with server() as api:
        page = api.ask("GET", "approvals", params=given(cursor=cursor, limit=limit))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        whose = "you" if item["is_yours"] else ", ".join(item["by"] or ["its owner"])
        until = time_of(item["until"])
        click.echo(
            f"{item['workflow_id']}  {item['type']}  {item['signal']}  step {item['step']}"
            f"  asks {whose}  until {until}"
        )
        if item["reminders"]:
            click.echo(f"  {_reminded(item['reminders'], is_paused=item['is_paused'])}")
        if item["message"]:
            click.echo(textwrap.indent(item["message"], "  "))
        if item["amount"]:
            click.echo(f"  {item['amount']['amount']} {item['amount']['currency']} (minor units)")
        for address in filter(None, item["pictures"]):
            click.echo(f"  {address}")
    say_more(page)


def _reminded(reminders: dict[str, Any], *, is_paused: bool) -> str:
    last, of = reminders["last"], reminders["of"]
    words = f"reminder {last} of {of} was sent" if last else f"no reminder of {of} was sent yet"
    if is_paused and last < of:
        words += ", none is sent while the workflow is paused"
    elif reminders["next_at"]:
        words += f", the next is sent at {reminders['next_at'][:19].replace('T', ' ')}"
    return words


@click.group("approver-groups")
def approver_groups() -> None:
    """Name groups of people who may decide approvals (`group:NAME` in a definition)."""


@approver_groups.command("list")
@json_option
def list_groups(is_json: bool) -> None:
    """List your groups with their members."""
    with server() as api:
        found = api.ask("GET", "approver-groups")
    if is_json:
        print_json(found)
        return
    for item in found["items"]:
        _say_group(item)


def _say_group(group: dict[str, Any]) -> None:
    click.echo(f"{group['name']}: {', '.join(group['members']) or 'no member'}")


@approver_groups.command("set")
@click.argument("name")
@click.argument("emails", nargs=-1, metavar="[EMAIL]...")
def set_group(name: str, emails: tuple[str, ...]) -> None:
    """Create the group NAME with these members, or replace those it has."""
    with server() as api:
        _say_group(api.ask("PUT", _group(name), json={"members": list(emails)}))


@approver_groups.command("delete")
@click.argument("name")
def delete_group(name: str) -> None:
    """Delete a group. Approvals that name it ask nobody by it."""
    with server() as api:
        api.ask("DELETE", _group(name))
    click.echo(f"{name}: deleted")


def _group(name: str) -> str:
    return f"approver-groups/{quote(name, safe='')}"


@click.command()
@cursor_option
@limit_option
@json_option
def attention(cursor: str | None, limit: int, is_json: bool) -> None:
    """List the workflows that need a person, and why."""
    with server() as api:
        page = api.ask("GET", "attention", params=given(cursor=cursor, limit=limit))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        since = time_of(item["since"])
        shown = [item[name] for name in ("id", "type", "status", "reason")]
        click.echo("  ".join([*shown, since, *filter(None, [item["owner"]])]))
        if item["seen"] is not None:
            click.echo(f"  dismiss it with --seen {item['seen']}")
        for step in item["steps"]:
            error = (step["error"] or {}).get("message", "")
            click.echo(f"  {step['key']}  {step['status']}  {step['reason']}  {error}".rstrip())
            for call in step["open_calls"]:
                click.echo(f"    {call['operation']} sent {call['first_sent_at']} as {call['key']}")
    _say_what_concerns_many(page)
    say_more(page)


def _say_what_concerns_many(page: dict[str, Any]) -> None:
    """What holds many workflows at once, and where the money of customers differs."""
    for each in page["platforms"]:
        number = each["workflows"]
        held = f"{number} workflow{'s' if number > 1 else ''} held by {each['platform']}"
        click.echo(f"{held}  {each['reason']}  {time_of(each['since'])}  {each['to_do']}")
        for message in each["errors"]:
            click.echo(f"  {message}")
    for each in page["models"]:
        verb = "has ended" if each["days_left"] <= 0 else "ends"
        click.echo(
            f"{each['platform']}: {each['model']} {verb} on {each['ends_on']}; {each['to_do']}"
        )
    for each in page["unpriced"]:
        what = f"{each['platform']} {each['item']} {each['unit']}"
        click.echo(f"no price, so not counted: {what}; playalter prices set {what} USD")
    for platform, number in page["money_differences"].items():
        click.echo(f"{number} differences of money at {platform}: playalter money differences")
    for each in page["differences"]:
        for line in difference(each):
            click.echo(f"  {line}")


@click.command()
@json_option
def platforms(is_json: bool) -> None:
    """Show whether each platform serves this installation."""
    with server() as api:
        found = api.ask("GET", "platforms")
    if is_json:
        print_json(found)
        return
    for item in found["items"]:
        seen = time_of(item["checked_at"])
        state = f"ok  {item['response_time']} ms" if item["is_ok"] else f"NOT OK  {item['error']}"
        click.echo(f"{item['platform']}  {seen}  {state}")
        for each in item["circuits"]:
            until = time_of(each["until"])
            click.echo(f"    {each['operation']} not called until {until}: {each['reason']}")
        for each in item["batches"] or ():
            since = time_of(each["since"])
            number = f"{each['batches']} batches, " if each["batches"] else ""
            shown = f"    {each['state']}: {number}{each['lines']} lines, since {since}"
            click.echo(f"{shown}  {each['error'] or ''}".rstrip())
    for each in found["allowances"]:
        click.echo(_allowance(each))
    if not found["items"]:
        click.echo("no platform has been probed yet, or none has a credential")


def _allowance(used: dict[str, Any]) -> str:
    """What is used of what the settings allow at a platform, in one line.

    >>> _allowance({"platform": "replicate", "is_for_all": True, "running": 2, "most_running": 10,
    ...   "spent_micro_usd": 0, "reserved_micro_usd": 30_000, "hourly_micro_usd": None})
    'replicate, of all: 2 of 10 run; this hour $0.0000 spent, $0.0300 reserved'
    """
    whose = "of all" if used["is_for_all"] else "of your organisation"
    most, hourly = used["most_running"], used["hourly_micro_usd"]
    running = f"{used['running']} run" if most is None else f"{used['running']} of {most} run"
    spent, reserved = (_dollars(used[f"{each}_micro_usd"]) for each in ("spent", "reserved"))
    limit = "" if hourly is None else f" of {_dollars(hourly)}"
    return (
        f"{used['platform']}, {whose}: {running}; this hour {spent} spent, {reserved} reserved"
        f"{limit}"
    )


def _dollars(micro_usd: int) -> str:
    return f"${micro_usd / 1_000_000:.4f}"


@click.command()
@workflow_argument
@click.argument("step")
@click.argument("word", metavar="WORD", type=click.Choice(["succeeded", "never", "done", "retry"]))
@click.option("--reason", required=True, help="How you know; this is recorded.")
@click.option("--output", type=click.File("rb"), help="The step's output as JSON; - reads stdin.")
@click.option("--response", type=click.File("rb"), help="The vendor's reply to the call, as JSON.")
def resolve(
    workflow_id: Any,
    step: str,
    word: str,
    reason: str,
    output: IO[bytes] | None,
    response: IO[bytes] | None,
) -> None:
    """Record what happened to STEP, if the platform cannot tell.

    \b
    succeeded  the call was made; give --output or --response
    never      nothing happened; the step or the compensation runs again
    done       the compensation (STEP~undo) counts as done
    retry      repeat the lookup or the compensation now
    """
    body: dict[str, Any] = {"as": word, "reason": reason}
    for name, file in (("output", output), ("response", response)):
        if file is not None:
            body[name] = read_json(file)
    with server() as api:
        say(api.control(str(workflow_id), f"steps/{quote(step, safe='')}/resolve", body))


@click.command()
@workflow_argument
@click.option("--reason", required=True, help="Why no person is needed any more.")
@click.option("--seen", type=int, help="Of `effect_failed`: the number that `attention` shows.")
def dismiss(workflow_id: Any, reason: str, seen: int | None) -> None:
    """Record that a workflow needs no person any more, if its reason concerns no step."""
    with server() as api:
        say(api.control(str(workflow_id), "attention/dismiss", given(reason=reason, seen=seen)))


COMMANDS: dict[str, click.Command] = {
    "approve": approve,
    "reject": reject,
    "signal": signal,
    "approvals": approvals,
    "approver-groups": approver_groups,
    "attention": attention,
    "platforms": platforms,
    "resolve": resolve,
    "dismiss": dismiss,
}
