"""`playalter prompts`: make, try and compare versions of prompts, and move labels, over HTTP."""

import json
from typing import IO, Any
from urllib.parse import quote

import click

from ops.cli.exits import USAGE, leave
from ops.cli.remote.control import given, json_option, reason_option
from ops.cli.remote.workflows import print_json, read_json, server, time_of

Json = dict[str, Any]

_version = click.IntRange(min=1)
_from_option = click.option(
    "--from", "before", type=_version, help="The version to which it must point now."
)


@click.group()
def prompts() -> None:
    """Make, try and compare versions of prompts, and choose by labels which one workflows use."""


@prompts.command()
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@click.option("--label", help="Let this label point to the version at once.")
def create(name: str, file: IO[bytes], label: str | None) -> None:
    """Store the body in FILE (JSON; - reads stdin) as the next version of NAME.

    Its tests run first, and one that fails refuses it.
    """
    body = read_json(file)
    if not isinstance(body, dict):
        leave(USAGE, f"{file.name}: a prompt is a JSON object")
    with server() as api:
        made = api.ask("POST", "prompts", json={**body, "name": name}, params=given(label=label))
    age = "new" if made["is_new"] else "made before"
    click.echo(f"{made['name']} version {made['version']}: {age}, {made['hash'][:12]}")


@prompts.command("list")
@click.argument("name", required=False)
@json_option
def list_prompts(name: str | None, is_json: bool) -> None:
    """List the prompts of your project, or all versions of NAME."""
    with server() as api:
        found = api.ask("GET", _path(name, "versions") if name else "prompts")
    if is_json:
        print_json(found)
    elif name:
        for each in found["items"]:
            click.echo(_version_line(each))
    else:
        for each in found["items"]:
            labels = ", ".join(f"{label}={number}" for label, number in each["labels"].items())
            line = f"{each['name']:<32} version {each['newest_version'] or '-'!s:<4} {labels}"
            click.echo(line.rstrip())


@prompts.command()
@click.argument("name")
@click.argument("version", type=_version, required=False)
def show(name: str, version: int | None) -> None:
    """Print the body of NAME's newest version, or of VERSION, as JSON."""
    with server() as api:
        if version is None:
            version = api.ask("GET", _path(name))["newest_version"]
            if version is None:
                leave(USAGE, f"{name} has no version")
        print_json(api.ask("GET", _path(name, "versions", version))["body"])


@prompts.command()
@click.argument("name")
@click.argument("version", type=_version)
@click.argument("other", type=_version)
def diff(name: str, version: int, other: int) -> None:
    """Show what changed from VERSION to OTHER."""
    with server() as api:
        found = api.ask("GET", _path(name, "versions", version, "diff", other))
    click.echo(found["text"] or "no difference")


@prompts.command()
@click.argument("name")
@click.option("--label", help="The version to which this label points.")
@click.option("--version", type=_version, help="By default, the newest version.")
@click.option(
    "--var",
    "-v",
    "texts",
    multiple=True,
    metavar="NAME=VALUE",
    help="A text, or a number, true or false, as the variable takes it.",
)
@click.option("--variables", "file", type=click.File("rb"), help="JSON; - reads stdin.")
@json_option
def render(
    name: str,
    label: str | None,
    version: int | None,
    texts: tuple[str, ...],
    file: IO[bytes] | None,
    is_json: bool,
) -> None:
    """Show the messages that NAME makes of values for its variables."""
    variables: Json = read_json(file) if file is not None else {}
    if not isinstance(variables, dict):
        leave(USAGE, "--variables: give a JSON object")
    named = dict(map(_named, texts))
    with server() as api:
        if named:
            chosen = version or _version_of(api, name, label)
            known = api.ask("GET", _path(name, "versions", chosen))["body"]["variables"]
            variables |= {each: _value(text, known.get(each, {})) for each, text in named.items()}
        body = given(label=label, version=version, variables=variables)
        found = api.ask("POST", _path(name, "render"), json=body)
    if is_json:
        print_json(found)
        return
    for message in found["messages"]:
        click.echo(f"[{message['role']}]\n{message['content']}\n")
    size = f"{found['characters']} characters, about {found['estimated_tokens']} tokens"
    click.echo(f"{name} version {found['version']}: {size}", err=True)


@prompts.command()
@click.argument("name")
@json_option
def labels(name: str, is_json: bool) -> None:
    """List the labels of NAME, and when each moved last."""
    with server() as api:
        found = api.ask("GET", _path(name, "labels"))
    if is_json:
        print_json(found)
        return
    for each in found["items"]:
        came = "" if each["from_version"] is None else f"  from {each['from_version']}"
        moved = time_of(each["moved_at"])
        click.echo(f"{each['label']:<20} version {each['version']:<4} {moved}{came}")


@prompts.command()
@click.argument("name")
@click.argument("label")
@json_option
def moves(name: str, label: str, is_json: bool) -> None:
    """List how LABEL of NAME has moved, the newest move first."""
    with server() as api:
        found = api.ask("GET", _path(name, "labels", label, "moves"))
    if is_json:
        print_json(found)
        return
    for each in found["items"]:
        way = f"{each['from_version'] or '-'} -> {each['to_version'] or '-'}"
        how = "rollback" if each["is_rollback"] else ""
        line = f"{time_of(each['moved_at'])}  {way:<12} {how:<9} {each['reason'] or ''}"
        click.echo(line.rstrip())


@prompts.command("label")
@click.argument("name")
@click.argument("label")
@click.argument("version", type=_version)
@_from_option
@reason_option
def move_label(name: str, label: str, version: int, before: int | None, reason: str | None) -> None:
    """Let LABEL of NAME point to VERSION: workflows that start from now on use that one."""
    body = given(version=version, from_version=before, reason=reason)
    with server() as api:
        _say(api.ask("PUT", _path(name, "labels", label), json=body))


@prompts.command()
@click.argument("name")
@click.argument("label")
@_from_option
@reason_option
def rollback(name: str, label: str, before: int | None, reason: str | None) -> None:
    """Let LABEL of NAME point to the version to which it pointed before."""
    body = given(from_version=before, reason=reason)
    with server() as api:
        _say(api.ask("POST", _path(name, "labels", label, "rollback"), json=body))


@prompts.command()
@click.argument("name")
@click.argument("label")
def unlabel(name: str, label: str) -> None:
    """Remove LABEL from NAME. Refused while a definition names it."""
    with server() as api:
        api.ask("DELETE", _path(name, "labels", label))
    click.echo(f"{name}: {label} removed")


@prompts.command()
@click.argument("name")
@click.argument("version", type=_version, required=False)
def delete(name: str, version: int | None) -> None:
    """Delete NAME, or its VERSION. Refused while a label, definition or workflow uses it."""
    with server() as api:
        api.ask("DELETE", _path(name) if version is None else _path(name, "versions", version))
    click.echo(f"{name} deleted" if version is None else f"{name} version {version} deleted")


def _named(given: str) -> tuple[str, str]:
    name, is_given, text = given.partition("=")
    if not is_given:
        raise click.BadParameter(f"{given!r} is not NAME=VALUE, such as brief=Hello")
    return name, text


def _version_of(api: Any, name: str, label: str | None) -> int:
    """The version to which a label points, or the newest one."""
    known = api.ask("GET", _path(name))
    version: int | None = known["labels"].get(label) if label else known["newest_version"]
    if version is None:
        leave(USAGE, f"{name} has no label {label}" if label else f"{name} has no version")
    return version


def _value(text: str, schema: Json) -> Any:
    """The value of a variable with this schema. What is neither a number nor true or false, where
    only these fit, stays a text, which the server refuses in words."""
    kinds = schema.get("type", "string")
    if "string" in (kinds if isinstance(kinds, list) else [kinds]):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def _path(name: str, *parts: object) -> str:
    quoted = [quote(str(part), safe="") for part in (name, *parts)]
    return "/".join(["prompts", *quoted])


def _version_line(each: Json) -> str:
    made, pointing = time_of(each["created_at"]), ", ".join(each["labels"])
    words = " ".join((each["description"] or "").split())[:60]
    line = f"version {each['version']:<4} {made}  {each['hash'][:12]}  {pointing:<20} {words}"
    return line.rstrip()


def _say(moved: Json) -> None:
    came = "" if moved["from_version"] is None else f", from {moved['from_version']}"
    state = f"version {moved['version']}{came}" if moved["changed"] else "points there already"
    click.echo(f"{moved['name']} {moved['label']}: {state}")


COMMANDS: dict[str, click.Command] = {"prompts": prompts}
