"""`playalter flow`: what waits for its start, and for what, over HTTP."""

from typing import Any

import click

from ops.cli.remote.control import json_option
from ops.cli.remote.queues import duration
from ops.cli.remote.workflows import print_json, server, time_of

Json = dict[str, Any]


@click.command()
@click.option("--definition", help="Only of this definition.")
@json_option
def flow(definition: str | None, is_json: bool) -> None:
    """Show your workflows that wait for their start, and open debounces and batches.

    An admin key also shows the limits, lanes and rate limits that are in use.
    """
    params = {} if definition is None else {"definition": definition}
    with server() as api:
        found = api.ask("GET", "flow", params=params)
    if is_json:
        print_json(found)
        return
    for title, lines in (
        ("waiting", map(_waiting, found["waiting"])),
        ("debounces and batches", map(_gathering, found["gatherings"])),
        ("limits", map(_limit, found["limits"] or ())),
        ("lanes", map(_lane, found["lanes"] or ())),
        ("rate limits", map(_rate, found["rates"] or ())),
    ):
        shown = list(lines)
        if shown:
            click.echo(f"{title}:")
            for line in shown:
                click.echo(f"  {line}")
    if not any(found.values()):
        click.echo("nothing waits")


def start_line(start: Json | None) -> str:
    """Why a workflow waits for its start, in words; empty if that is not known."""
    if start is None:
        return ""
    if start["gathers"] is not None:
        return f"gathers starts: {start['gathers']['items']} until now"
    words = []
    if start["position"] is not None:
        least = "" if start["is_exact"] else "at least "
        words.append(f"waits at position {least}{start['position']}")
    if start["blocked_by"] is not None:
        words.append(f"for {_limit_name(start['blocked_by'])}")
    if start.get("held_crosswise") is not None:
        words.append(_crosswise(start["held_crosswise"]))
    elif start["estimate_seconds"] is not None:
        words.append(f"about {duration(start['estimate_seconds'])}")
    return ", ".join(words)


def _crosswise(holders: list[str]) -> str:
    advice = f"cancel one of {', '.join(holders)}" if holders else "others hold it"
    return (
        "for ever: the workflows that hold it have children that wait for places of each other;"
        f" {advice}"
    )


def _waiting(item: Json) -> str:
    return f"{item['type']}  {item['waiting']}  since {time_of(item['oldest_waiting_since'])}Z"


def _gathering(item: Json) -> str:
    key = f" [{item['key']}]" if item["key"] else ""
    return (
        f"{item['type']}{key}  {item['items']} starts  begins {time_of(item['starts_at'])}Z"
        f"  {item['workflow_id']}"
    )


def _limit(item: Json) -> str:
    taken = "" if item["held"] is None else f"  {item['held']} of {item['most']}"
    blocked = f"  {item['blocked_lanes']} lanes wait" if item["blocked_lanes"] else ""
    until = f"  until {time_of(item['throttled_until'])}Z" if item["throttled_until"] else ""
    return f"{_limit_name(item)}{taken}{blocked}{until}"


def _limit_name(item: Json) -> str:
    return f"{item['scope']} {item['name']}" + (f" [{item['key']}]" if item["key"] else "")


def _lane(item: Json) -> str:
    key = f" [{item['share_key']}]" if item["share_key"] else ""
    blocked = f"  for {_limit_name(item['blocked_by'])}" if item["blocked_by"] else ""
    return (
        f"{item['definition']}{key}  {item['waiting']} wait{blocked}"
        f"  {item['rate']:g}/s  {duration(item['estimate_seconds'])}"
    )


def _rate(item: Json) -> str:
    key = f" [{item['key']}]" if item["key"] else ""
    return f"{item['type']}{key}  all back at {time_of(item['back_at'])}Z"


COMMANDS: dict[str, click.Command] = {"flow": flow}
