"""`playalter schedules` and `playalter calendars`: when workflows start by themselves."""

from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import quote

import click

from ops.cli.exits import USAGE, leave
from ops.cli.remote.control import json_option
from ops.cli.remote.workflows import print_json, read_json, server

Json = dict[str, Any]

_ROW = "{:<24} {:<20} {:<20} {:<20} {:>7} {:>7} {:>7} {:>7}"
_HEAD = ("name", "type", "next", "last start", "started", "skipped", "missed", "refused")
_POLICIES = (*("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"),)

overlap_option = click.option("--overlap", type=click.Choice(_POLICIES), help="Another policy.")
name_argument = click.argument("name")
file_argument = click.argument("file", type=click.File("rb"))


@click.group()
def schedules() -> None:
    """Start workflows at given times.

    A schedule is a JSON file: name, type, input, spec ({"cron": "30 2 * * *", "time_zone":
    "Europe/Berlin"}, {"every": "6h"} or {"times": [...]}), overlap, pauses_on_failure.
    """


@schedules.command("list")
@json_option
def list_schedules(is_json: bool) -> None:
    """List your schedules; with an admin key also the jobs of Playalter itself."""
    items: list[Json] = []
    cursor: str | None = None
    with server() as api:
        while True:
            params = {} if cursor is None else {"cursor": cursor}
            page = api.ask("GET", "schedules", params=params)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    if is_json:
        print_json({"items": items})
        return
    click.echo(_ROW.format(*_HEAD).rstrip())
    for item in items:
        click.echo(_line(item))


@schedules.command()
@name_argument
@json_option
def show(name: str, is_json: bool) -> None:
    """Show a schedule, its next ten times and what became of the last ten."""
    with server() as api:
        found = api.ask("GET", _of(name))
    if is_json:
        print_json(found)
        return
    click.echo(_ROW.format(*_HEAD).rstrip())
    click.echo(_line(found))
    if found["is_paused"]:
        click.echo(f"paused at {_time(found['paused_at'])}: {found['paused_note']}")
    click.echo("next:")
    _print_upcoming(found["next"])
    click.echo("last:")
    _print_runs(found["last"])


@schedules.command()
@file_argument
@click.option("--paused", metavar="NOTE", help="Create it paused, with this note.")
def create(file: IO[bytes], paused: str | None) -> None:
    """Create a schedule from a JSON FILE; - reads stdin."""
    body = _object(read_json(file)) | ({} if paused is None else {"paused": paused})
    with server() as api:
        made = api.ask("POST", "schedules", json=body)
    click.echo(f"{made['name']} created")
    _print_upcoming(made["next"])


@schedules.command()
@file_argument
def change(file: IO[bytes]) -> None:
    """Replace the schedule that a JSON FILE names; - reads stdin."""
    body = _object(read_json(file))
    name = str(body.pop("name", ""))
    if not name:
        leave(USAGE, "the file has no name")
    with server() as api:
        made = api.ask("PUT", _of(name), json=body)
    click.echo(f"{made['name']} changed")
    _print_upcoming(made["next"])


@schedules.command("next")
@click.argument("name_or_file")
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True)
def next_times(name_or_file: str, count: int) -> None:
    """Show the next times of a schedule, or of a JSON file that is not created yet."""
    if not name_or_file.endswith(".json"):
        with server() as api:
            found = api.ask("GET", f"{_of(name_or_file)}/next", params={"count": count})
    else:
        with click.open_file(name_or_file, "rb") as file:
            body = {"spec": _object(read_json(file)).get("spec", {})}
        with server() as api:
            found = api.ask("POST", "schedules/preview", json=body, params={"count": count})
    _print_upcoming(found["items"])


@schedules.command()
@name_argument
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@json_option
def runs(name: str, limit: int, is_json: bool) -> None:
    """Show what became of the last times of a schedule."""
    with server() as api:
        found = api.ask("GET", f"{_of(name)}/runs", params={"limit": limit})
    if is_json:
        print_json(found)
        return
    _print_runs(found["items"])


@schedules.command()
@name_argument
@click.argument("note")
def pause(name: str, note: str) -> None:
    """Pause a schedule; NOTE says why."""
    with server() as api:
        api.ask("POST", f"{_of(name)}/pause", json={"note": note})
    click.echo("paused")


@schedules.command()
@name_argument
@click.option("--note", help="Why it goes on.")
def resume(name: str, note: str | None) -> None:
    """Resume a schedule with the first time after now."""
    with server() as api:
        found = api.ask("POST", f"{_of(name)}/resume", json={} if note is None else {"note": note})
    click.echo(f"resumed; next {_time(found['next_at'])}")


@schedules.command()
@name_argument
@overlap_option
@click.option("--idempotency-key", help="A repeat with the same key starts nothing new.")
def run(name: str, overlap: str | None, idempotency_key: str | None) -> None:
    """Start a workflow of a schedule now; print what became of it and the workflow's id."""
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    body = {} if overlap is None else {"overlap": overlap}
    with server() as api:
        ran = api.ask("POST", f"{_of(name)}/run", json=body, headers=headers)
    click.echo(" ".join(filter(None, (ran["outcome"], ran["reason"], ran["workflow_id"]))))


@schedules.command()
@name_argument
@click.argument("after")
@click.argument("until")
@overlap_option
@click.option("--yes", "is_meant", is_flag=True, help="Do not ask.")
def backfill(name: str, after: str, until: str, overlap: str | None, is_meant: bool) -> None:
    """Start the times of a schedule between AFTER (exclusive) and UNTIL (inclusive).

    Both are instants of the past with an offset, such as 2026-11-01T00:00:00Z. Without --overlap,
    the workflows run one after the other. The number of times and what they may cost is shown
    first.
    """
    span = {"after": after, "until": until}
    policy = {} if overlap is None else {"overlap": overlap}
    with server() as api:
        found = api.ask("POST", f"{_of(name)}/backfills", json=span | policy)
        click.echo(_estimate(found))
        if not found["times"]:
            return
        if not is_meant and not click.confirm("Start them?", err=True):
            leave(USAGE, "nothing was started")
        body = span | policy | {"times": found["times"]}
        begun = api.ask("POST", f"{_of(name)}/backfills", json=body)
    click.echo(f"backfill {begun['id']} begun")


@schedules.command("backfills")
@name_argument
@json_option
def list_backfills(name: str, is_json: bool) -> None:
    """List the last backfills of a schedule, with how far each has come."""
    with server() as api:
        found = api.ask("GET", f"{_of(name)}/backfills")
    if is_json:
        print_json(found)
        return
    for each in found["items"]:
        state = f"ended {_time(each['ended_at'])}" if each["ended_at"] else "goes on"
        click.echo(
            f"{each['id']}  {_time(each['after'])} to {_time(each['until'])}  {each['times']} times"
            f"  {each['overlap']}  done to {_time(each['done_to'])}  {state}"
        )


@schedules.command("events")
@name_argument
@json_option
def list_events(name: str, is_json: bool) -> None:
    """List who has changed a schedule, and how; newest first."""
    with server() as api:
        found = api.ask("GET", f"{_of(name)}/events")
    if is_json:
        print_json(found)
        return
    for each in found["items"]:
        facts = " ".join(f"{name}={value}" for name, value in each["data"].items())
        click.echo(f"{_time(each['at'])}  {each['type']}  by {each['by']}  {facts}".rstrip())


@schedules.command("end-backfill")
@name_argument
@click.argument("backfill_id", type=int)
def end_backfill(name: str, backfill_id: int) -> None:
    """End a backfill: it starts no further times."""
    with server() as api:
        api.ask("DELETE", f"{_of(name)}/backfills/{backfill_id}")
    click.echo("ended")


@schedules.command()
@name_argument
def delete(name: str) -> None:
    """Delete a schedule. Its workflows go on."""
    with server() as api:
        api.ask("DELETE", _of(name))
    click.echo("deleted")


@click.group()
def calendars() -> None:
    """Named sets of dates, such as holidays, to which schedules may refer."""


@calendars.command("list")
def list_calendars() -> None:
    """List your calendars, and the schedules that refer to them."""
    with server() as api:
        found = api.ask("GET", "calendars")
    for item in found["items"]:
        used = ", ".join(item["schedules"]) or "no schedule"
        click.echo(f"{item['name']:<24} {len(item['dates']):>5} dates  {used}")


@calendars.command("show")
@name_argument
def show_calendar(name: str) -> None:
    """Print the dates of a calendar."""
    with server() as api:
        found = api.ask("GET", _calendar(name))
    for each in found["dates"]:
        click.echo(each)


@calendars.command()
@name_argument
@click.argument("file", type=click.File("r"))
def write(name: str, file: IO[str]) -> None:
    """Write a calendar from a FILE with a date (2026-12-25) in each line; - reads stdin."""
    dates = [line.strip() for line in file if line.strip()]
    with server() as api:
        found = api.ask("PUT", _calendar(name), json={"dates": dates})
    used = len(found["schedules"])
    moved = f"; {found['moved']} of {used} schedules moved" if used else ""
    ended = f"; {found['ended_backfills']} backfills ended" if found["ended_backfills"] else ""
    click.echo(f"{found['name']} has {len(found['dates'])} dates{moved}{ended}")


@calendars.command("delete")
@name_argument
def delete_calendar(name: str) -> None:
    """Delete a calendar to which no schedule refers."""
    with server() as api:
        api.ask("DELETE", _calendar(name))
    click.echo("deleted")


def _of(name: str) -> str:
    return f"schedules/{quote(name, safe='')}"


def _calendar(name: str) -> str:
    return f"calendars/{quote(name, safe='')}"


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        leave(USAGE, "the file has no JSON object")
    return value


def _line(item: Json) -> str:
    state = "paused" if item["is_paused"] else _time(item["next_at"])
    if item["kind"] == "system":
        state = f"every {item['every_seconds']:.0f} s"
    counts = ("started", "skipped", "missed", "refused")
    numbers = ["" if item[name] is None else item[name] for name in counts]
    shown = (item["name"], item["type"] or "(system)", state, _time(item["last_fired_at"]))
    return _ROW.format(*shown, *numbers).rstrip()


def _print_upcoming(items: list[Json]) -> None:
    for each in items:
        notes = f"  {'; '.join(each['notes'])}" if each["notes"] else ""
        click.echo(f"  {_time(each['at'])}  {each['local']}{notes}")


def _print_runs(items: list[Json]) -> None:
    for each in items:
        times = f"*{each['times']}" if each["times"] > 1 else ""
        more = (each["reason"], each["workflow_id"], each["ended_as"])
        head = f"  {_time(each['nominal_at'])}  {each['outcome'] + times:<14}"
        click.echo(f"{head} {' '.join(filter(None, more))}".rstrip())


def _time(text: str | None) -> str:
    if text is None:
        return "-"
    at = datetime.fromisoformat(text).astimezone(UTC)
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def _estimate(found: Json) -> str:
    costs = [
        f"{words} {found[name] / 1_000_000:.2f} USD"
        for name, words in (("cost_micro_usd", "about"), ("most_micro_usd", "at most"))
        if found[name] is not None
    ]
    return f"{found['times']} times, {', '.join(costs) or 'of unknown cost'}"


COMMANDS: dict[str, click.Command] = {"schedules": schedules, "calendars": calendars}
