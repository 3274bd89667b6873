"""`playalter queues`: what waits for workers, and for how long, over HTTP."""

from typing import Any

import click

from ops.cli.remote.control import json_option
from ops.cli.remote.workflows import print_json, server, time_of

Json = dict[str, Any]

_HEAD = ("queue", "workers", "published", "waiting", "users", "oldest", "rate", "estimate")
_ROW = "{:<12} {:>7} {:>9} {:>8} {:>6} {:<19} {:>8} {:>9}"
_MINUTES_FROM, _HOURS_FROM = 120, 7200


@click.command()
@json_option
def queues(is_json: bool) -> None:
    """Show what waits for the workers of each platform, and for how long.

    \b
    workers    workers that take the queue
    published  messages in the broker, of all users
    waiting    your steps that wait for their turn; with an admin key, those of all users
    users      how many users have steps that wait (only with an admin key)
    oldest     when the oldest workflow with such a step started
    rate       messages that the workers take in a second, while steps wait
    estimate   until a step of yours that comes now is published; with an admin key, until all are
    """
    with server() as api:
        found = api.ask("GET", "queues")
    if is_json:
        print_json(found)
        return
    click.echo(_ROW.format(*_HEAD))
    for item in found["items"]:
        click.echo(_line(item))
    if not found["is_broker_reached"]:
        click.echo("the broker (Redis) does not answer: what is published is unknown", err=True)


def _line(item: Json) -> str:
    since = time_of(item["oldest_waiting_since"])
    cells = [item["workers"], item["published"], item["waiting"], item["users"]]
    rate = item["rate"]
    return _ROW.format(
        item["queue"],
        *("" if cell is None else f"{cell:,}" for cell in cells),
        since,
        "" if rate is None else f"{rate:,.1f}/s",
        duration(item["estimate_seconds"]),
    ).rstrip()


def duration(seconds: int | None) -> str:
    """An estimate as text for people.

    >>> [duration(seconds) for seconds in (None, 0, 90, 600, 9000)]
    ['unknown', '0 s', '90 s', '10 min', '2.5 h']
    """
    if seconds is None:
        return "unknown"
    if seconds < _MINUTES_FROM:
        return f"{seconds} s"
    return f"{seconds / 60:.0f} min" if seconds < _HOURS_FROM else f"{seconds / 3600:.1f} h"


COMMANDS: dict[str, click.Command] = {"queues": queues}
