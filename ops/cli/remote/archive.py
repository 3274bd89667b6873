"""`playalter archive`: archived workflows, over HTTP with an admin key."""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from ops.cli.exits import USAGE, leave
from ops.cli.remote.control import given, json_option, workflow_argument
from ops.cli.remote.workflows import print_json, server

Json = dict[str, Any]

_BUSY_SECONDS = 2.0
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@click.group()
def archive() -> None:
    """Archive ended workflows, restore and hold them (all but `bundle` need an admin key)."""


@archive.command()
@json_option
def status(is_json: bool) -> None:
    """Show what was archived, how long workflows are kept, and what the last run did."""
    with server() as api:
        found = api.ask("GET", "archive")
    if is_json:
        print_json(found)
        return
    counts = f"{found['bundles']:,} bundles, {found['workflows']:,} workflows"
    click.echo(f"archived  {counts}, {_size(found['bytes'])}; {found['erased']:,} erased")
    for name, kept in {"default": found["default"], **found["types"]}.items():
        hot, kept_for = _time(kept["hot_seconds"]), _time(kept["archive_seconds"])
        click.echo(f"kept      {name}: {hot} in PostgreSQL, then {kept_for} in the archive")
    if found["expiring"]:
        click.echo(f"expiring  {found['expiring']:,} workflows may be erased within seven days")
    if found["held"]:
        click.echo(f"held      {found['held']:,}")
    if manifest := found["manifest"]:
        click.echo(f"manifest  {manifest['number']} {manifest['sha256']}")
    if found["ran_at"]:
        click.echo(f"last run  {found['ran_at']}: {_counts(found['last_run'])}")


@archive.command()
@click.option("--dry-run", "is_dry", is_flag=True, help="Only count what would be archived.")
@click.option("--type", "type", help="With --dry-run: count only this type.")
@click.option("--hot", help="With --dry-run: as if workflows were kept only so long, such as 30d.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    help="Work this part of the time; by default little beside others, and more if they rest.",
)
@json_option
def run(
    is_dry: bool, type: str | None, hot: str | None, share: float | None, is_json: bool
) -> None:
    """Archive and erase everything that is old enough now."""
    body = given(dry_run=is_dry, type=type, hot=hot, share=share, seconds=20.0)
    with server() as api:
        while True:
            done = api.ask("POST", "archive/run", json=body)
            if is_json:
                print_json(done)
            else:
                click.echo("another run works; waiting" if done["is_busy"] else _told(done))
            if is_dry or done["is_complete"]:
                return
            if done["is_busy"]:
                time.sleep(_BUSY_SECONDS)


@archive.command()
@workflow_argument
def restore(workflow_id: UUID) -> None:
    """Bring an archived workflow back, with its root and all children of that."""
    with server() as api:
        done = api.ask("POST", f"archive/{workflow_id}/restore")
    words = "restored" if done["changed"] else "was restored before"
    click.echo(f"{done['root_id']} {words}: {done['workflows']} workflows")


@archive.command()
@workflow_argument
@click.option("--to", "path", type=click.Path(dir_okay=False, writable=True), required=True)
def bundle(workflow_id: UUID, path: str) -> None:
    """Download the bundle of your archived workflow, compressed lines of JSON."""
    with server() as api:
        data = api.download(f"/v1/archive/{workflow_id}/bundle")
    try:
        Path(path).write_bytes(data)
    except OSError as err:
        leave(USAGE, f"{path}: {err.strerror}")


@archive.command()
@workflow_argument
@click.option("--reason", required=True, help="The reason, which is recorded.")
def hold(workflow_id: UUID, reason: str) -> None:
    """Keep a workflow, its root and all children of that from being archived and erased."""
    with server() as api:
        done = api.ask("POST", f"archive/{workflow_id}/hold", json={"reason": reason})
    click.echo(f"{done['root_id']} held")


@archive.command()
@workflow_argument
def release(workflow_id: UUID) -> None:
    """Release a hold."""
    with server() as api:
        done = api.ask("POST", f"archive/{workflow_id}/release")
    click.echo(f"{done['root_id']} released")


@archive.command()
@json_option
def holds(is_json: bool) -> None:
    """List what is held, oldest first."""
    after: str | None = None
    with server() as api:
        while True:
            page = api.ask("GET", "archive/holds", params=given(after=after))
            for item in page["items"]:
                line = f"{item['root_id']} {item['held_at'][:19]} {item['reason']}"
                print_json(item) if is_json else click.echo(line)
            after = page["next_after"]
            if after is None:
                return


def _told(done: Json) -> str:
    if not done["dry_run"]:
        more = "" if done["is_complete"] else "; not done yet"
        return _counts({**done, "archived": done["families"]}) + more
    lines = [f"would archive {done['workflows']:,} workflows in {done['families']:,} families"]
    lines += [f"  {name}: {number:,}" for name, number in sorted(done["types"].items())]
    lines += [f"  not now, {why}: {number:,}" for why, number in sorted(done["refused"].items())]
    if done["expiring"]:
        lines.append(f"may be erased within seven days: {done['expiring']:,} archived workflows")
    if not done["is_complete"]:
        lines.append("  more was not counted in time")
    return "\n".join(lines)


def _counts(done: Json) -> str:
    always, sometimes = (
        ("archived", "workflows", "erased"),
        ("announced", "changed", "failed", "swept"),
    )
    named = (*always, *(name for name in sometimes if done.get(name)))
    return ", ".join(f"{done.get(name, 0):,} {name}" for name in named)


def _size(count: int) -> str:
    """A number of bytes for people.

    >>> _size(12), _size(4_200_000)
    ('12 bytes', '4.2 MB')
    """
    return next((f"{count / n:.1f} {unit}" for unit, n in _UNITS if count >= n), f"{count} bytes")


def _time(seconds: float | None) -> str:
    """A time for people.

    >>> _time(None), _time(7776000.0), _time(43200.0)
    ('for ever', '90 days', '12 hours')
    """
    if seconds is None:
        return "for ever"
    days, hours = seconds / 86400, seconds / 3600
    return f"{days:g} days" if days >= 1 else f"{hours:g} hours"


COMMANDS: dict[str, click.Command] = {"archive": archive}
