"""`playalter definitions`: check, register, show, draw and activate definitions, over HTTP.

`validate` and `draw` can also read a file and need no server then.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.cli.exits import USAGE, leave
from ops.cli.remote.workflows import is_configured, server

if TYPE_CHECKING:  # pydantic takes longer to import than the rest of a call
    from chains.language.definition import Definition

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)


@click.group()
def definitions() -> None:
    """Check, register, compare and draw workflow types, and choose which version starts."""


@definitions.command()
@click.argument("file", type=_FILE)
@click.option("--offline", "is_offline", is_flag=True, help="Use no server.")
def validate(file: str, is_offline: bool) -> None:
    """Check the definition in FILE (JSON; - reads stdin) and list all its faults.

    Without PLAYALTER_API_KEY no server is used, and the types of child workflows are not checked.
    """
    data = _read(file)
    if is_offline or not is_configured():
        definition, count = _checked(data)
        click.echo(f"{definition.name}: valid, {count} steps (checked without a server)")
        return
    with server() as api:
        steps = api.validate(data)["steps"]
    click.echo(f"valid, {len(steps)} steps")


@definitions.command()
@click.argument("file", type=_FILE)
@click.option("--activate", "activates", is_flag=True, help="Use it for new workflows at once.")
def register(file: str, activates: bool) -> None:
    """Register the definition in FILE; a changed body becomes the next version."""
    data = _read(file)
    with server() as api:
        made = api.register(data, activates)
    name, version = made["name"], made["version"]
    age = "new" if made["is_new"] else "registered before"
    state = "active" if made["is_active"] else "not active"
    click.echo(f"{name} version {version}: {age}, {state}")
    _print_warnings(made)
    if not made["is_active"]:
        click.echo(f"to activate it: playalter definitions activate {name} {version}", err=True)


@definitions.command("list")
@click.argument("name", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")
def list_definitions(name: str | None, is_json: bool) -> None:
    """List the types, or all versions of NAME."""
    with server() as api:
        found = api.versions(name) if name else api.definitions()
    if is_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif name:
        _print_versions(found)
    else:
        for each in found["items"]:
            description = " ".join((each["description"] or "").split())[:80]
            line = f"{each['name']:<32} version {each['version']:<4} {description}"
            click.echo(line.rstrip())


@definitions.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
def show(name: str, version: int | None) -> None:
    """Print the body of NAME's active version, or of VERSION, as JSON."""
    with server() as api:
        found = api.definition(name, version)
    click.echo(json.dumps(found["body"], indent=2, ensure_ascii=False))


@definitions.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@click.argument("other", type=click.IntRange(min=1))
def diff(name: str, version: int, other: int) -> None:
    """Show the differences between VERSION and OTHER: first as text, then by step."""
    with server() as api:
        found = api.diff(name, version, other)
    if not found["text"]:
        click.echo("no difference")
        return
    click.echo(found["text"])
    for word in ("added", "removed"):
        for key in found[word]:
            click.echo(f"{word}: {key}")
    for each in found["changed"]:
        click.echo(f"changed: {each['key']} ({', '.join(each['fields'])})")
    if found["others"]:
        click.echo(f"definition: {', '.join(found['others'])}")


@definitions.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
def activate(name: str, version: int) -> None:
    """Use VERSION for all new workflows."""
    with server() as api:
        _print_versions(api.activate(name, version))


@definitions.command()
@click.argument("name")
def rollback(name: str) -> None:
    """Activate the version that was active before the current one."""
    with server() as api:
        _print_versions(api.rollback(name))


@definitions.command()
@click.argument("name")
@click.argument("shares", nargs=-1, metavar="VERSION=WEIGHT...")
@click.option("--end", "is_end", is_flag=True, help="Use only the active version again.")
def spread(name: str, shares: tuple[str, ...], is_end: bool) -> None:
    """Spread new workflows over versions by weight, for example: spread campaign 1=90 2=10"""
    weights: dict[str, int] = {}
    for share in shares:
        version, _, weight = share.partition("=")
        if not (version.isdecimal() and weight.isdecimal()):
            raise click.BadParameter(f"{share!r} is not VERSION=WEIGHT, such as 2=10")
        weights[str(int(version))] = int(weight)
    if bool(weights) == is_end:
        raise click.UsageError("give VERSION=WEIGHT for each version, or --end")
    with server() as api:
        _print_versions(api.spread(name, weights))


@definitions.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
def retire(name: str, version: int) -> None:
    """Retire VERSION: no workflow can start with it. Refused while one of its workflows runs."""
    with server() as api:
        _print_versions(api.retire(name, version))


@definitions.command()
@click.argument("source", metavar="FILE|NAME")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--output", "-o", type=click.Path(dir_okay=False), default="-", help="A file (SVG).")
def draw(source: str, version: int | None, output: str) -> None:
    """Draw the definition in FILE, or NAME's active version or its VERSION, as SVG."""
    if source == "-" or source.endswith(".json") or Path(source).is_file():
        picture = _drawn(_read(source))
    else:
        with server() as api:
            wanted = version or int(api.definition(source, None)["version"])
            picture = api.picture(source, wanted)
    try:
        with click.open_file(output, "w", encoding="utf-8") as out:
            out.write(picture)
    except OSError as err:
        leave(USAGE, f"{output}: {err.strerror}")


def _read(file: str) -> bytes:
    from web.bodies import MAX_JSON_BYTES

    try:
        with click.open_file(file, "rb") as opened:
            data: bytes = opened.read(MAX_JSON_BYTES + 1)
    except OSError as err:
        leave(USAGE, f"{file}: {err.strerror}")
    if len(data) > MAX_JSON_BYTES:
        leave(USAGE, f"{file}: a definition has at most {MAX_JSON_BYTES} bytes")
    return data


def _checked(data: bytes) -> tuple["Definition", int]:
    """Check a definition; returns it and the number of its steps. Faults end the command."""
    from app.errors import InvalidInput
    from chains.actions import actions
    from chains.language.bounds import MAX_DEPTH
    from chains.plans.validation import definition_of, examine
    from web.bodies import parse_object

    try:
        definition = definition_of(parse_object(data, MAX_DEPTH))
        plan = examine(definition, actions())
    except InvalidInput as err:
        lines = [f"  {place or 'the definition'}: {words}" for place, words in err.errors]
        leave(USAGE, "\n".join(["not valid", *lines]))
    return definition, len(plan.steps)


def _drawn(data: bytes) -> str:
    from chains.actions import actions
    from chains.drawing.picture import draw as drawn

    definition, _ = _checked(data)
    return drawn(definition, actions=actions())


def _print_warnings(made: dict[str, Any]) -> None:
    for words in made.get("warnings", ()):
        click.echo(f"warning: {words}", err=True)


def _print_versions(found: dict[str, Any]) -> None:
    for each in found["items"]:
        states = [
            "active" if each["active"] else "",
            "" if each["weight"] is None else f"weight {each['weight']}",
            "retired" if each["retired_at"] else "",
            f"{each['running']} running" if each["running"] else "",
        ]
        made = each["created_at"][:16].replace("T", " ")
        line = (
            f"{each['name']} version {each['version']:<4} {made}  {', '.join(filter(None, states))}"
        )
        click.echo(line.rstrip())
    _print_warnings(found)


COMMANDS: dict[str, click.Command] = {"definitions": definitions}
