"""`playalter actions`: what a step may call. Uses a server, or without an API key this program."""

import json
from typing import Any

import click

from ops.cli.exits import USAGE, leave
from ops.cli.remote.workflows import is_configured, print_json, server

Json = dict[str, Any]


@click.command()
@click.argument("name", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")
def actions(name: str | None, is_json: bool) -> None:
    """List the actions that a step may use, or show NAME with its input, output and an example.

    Without PLAYALTER_API_KEY no server is used: the actions of this installation are shown.
    """
    found = _asked(name) if is_configured() else _own(name)
    if is_json:
        print_json(found)
    elif name is None:
        for each in found["items"]:
            undone = "undone" if each["compensation"] else ""
            said = each["description"] or ""
            click.echo(f"{each['name']:<24} {each['effect']:<11} {undone:<7} {said}".rstrip())
    else:
        click.echo("\n".join(_lines(found)))


def _asked(name: str | None) -> Json:
    with server() as api:
        return api.ask("GET", "actions" if name is None else f"actions/{name}")


def _own(name: str | None) -> Json:
    # The platforms take longer to import than the rest of a call.
    from app.errors import NotFound
    from chains.actions import actions as known
    from chains.catalogue.offered import offered, offered_action

    try:
        return {"items": offered(known())} if name is None else offered_action(known(), name)
    except NotFound as err:
        leave(USAGE, err.message)


def _lines(action: Json) -> list[str]:
    cost = action["example_cost_ceiling_micro_usd"]
    facts = {
        "effect": action["effect"],
        "undone by": action["compensation"] or "nothing",
        "queue": action["queue"],
        "limits": f"{action['tries']} tries of at most {action['attempt_seconds']:g} s",
        "cost": "none declared" if cost is None else f"the example: at most {cost} micro-USD",
    }
    lines = [action["name"], f"  {action['description'] or ''}"]
    lines += [f"  {name + ':':<11}{text}" for name, text in facts.items()]
    step = {"step": "name", "action": action["name"], "with": action["example"] or {}}
    for title, value in (
        ("example", step),
        ("input", action["input_schema"]),
        ("output", action["output_schema"]),
    ):
        lines += [f"{title}:", json.dumps(value, indent=2, ensure_ascii=False)]
    return lines


COMMANDS: dict[str, click.Command] = {"actions": actions}
