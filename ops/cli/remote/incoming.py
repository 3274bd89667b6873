"""`playalter events-in|triggers|event-sources`: events that come in, and what they start."""

from typing import IO, Any
from urllib.parse import quote

import click

from ops.cli.remote.control import given, json_option
from ops.cli.remote.workflows import print_json, read_json, say_more, server, time_of

Json = dict[str, Any]

_file = click.argument("file", type=click.File("rb"))
_name = click.argument("name")


@click.group("events-in")
def events_in() -> None:
    """Send events, and show those that came in. (`events` checks the records of workflows.)"""


@events_in.command()
@_file
@json_option
def send(file: IO[bytes], is_json: bool) -> None:
    """Send the event, or the list of events, in FILE (JSON; - reads stdin)."""
    body = read_json(file)
    body = {"events": body} if isinstance(body, list) else body
    with server() as api:
        receipt = api.ask("POST", "events", json=body)
    if is_json:
        print_json(receipt)
        return
    for item in receipt["items"]:
        why = " ".join(filter(None, (item["pointer"], item["reason"])))
        parts = (item["result"], item["event_id"], item["source"], item["id"], why)
        click.echo("  ".join(filter(None, parts)))


@events_in.command("list")
@click.option("--source", help="Only from this source.")
@click.option("--type", help="Only of this type.")
@click.option("--outcome", help="Only with a match that was started, refused, raised, ...")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--cursor", help="Continue after the previous page.")
@json_option
def list_events(is_json: bool, **filters: Any) -> None:
    """List the events that came in, the last received first, with what they matched."""
    with server() as api:
        page = api.ask("GET", "events", params=given(**filters))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        at = time_of(item["received_at"])
        click.echo(f"{item['id']}  {at}  {item['type']}  {item['source']}  {_matches(item)}")
    say_more(page)


def _matches(item: Json) -> str:
    """What an event matched, in a few words."""
    if item["matched_at"] is None:
        return "not matched yet"
    words = [f"{match['trigger']}: {match['outcome']}" for match in item["matches"]]
    if item["woken"]:
        words.append(f"woke {item['woken']}")
    return ", ".join(words) or "nothing took it"


@events_in.command("show")
@click.argument("event_id", type=click.UUID)
def show_event(event_id: Any) -> None:
    """Show an event with its data, and what each trigger has made of it."""
    with server() as api:
        print_json(api.ask("GET", f"events/{event_id}"))


@click.command()
@click.option("--type", "event_type", help="Only waits for this type of event.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--cursor", help="Continue after the previous page.")
@json_option
def waits(is_json: bool, **filters: Any) -> None:
    """List the steps that wait for an event."""
    with server() as api:
        page = api.ask("GET", "event-waits", params=given(**filters))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        until = time_of(item["until"])
        condition = f"  with {item['filter']}" if item["filter"] else ""
        paused = "  paused" if item["is_paused"] else ""
        click.echo(
            f"{item['workflow_id']}  {item['type']}  step {item['step']}  {item['event_type']}"
            f"{condition}  until {until}{paused}"
        )
        if item["raised"]:
            click.echo(f"    the filter failed for {item['raised']} events: {item['reason']}")
    say_more(page)


@click.group()
def triggers() -> None:
    """Say which events start which definitions."""


@triggers.command("list")
@click.option("--after", default="", help="Continue after this name.")
@json_option
def list_triggers(after: str, is_json: bool) -> None:
    """List your triggers, with how many events they took."""
    with server() as api:
        page = api.ask("GET", "triggers", params={"after": after})
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        state = "paused" if item["paused_at"] else ""
        parts = (item["name"], item["event_type"], f"-> {item['definition']}", _counts(item), state)
        click.echo("  ".join(filter(None, parts)))
        if item["last_problem"]:
            problem = item["last_problem"]
            click.echo(f"    {problem['outcome']} at {problem['at']}: {problem['reason']}")
    if page["next_after"]:
        click.echo(f"more: --after {page['next_after']}")


def _counts(item: Json) -> str:
    counts = {name: number for name, number in item["counts"].items() if number}
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "no event yet"


@triggers.command("show")
@_name
def show_trigger(name: str) -> None:
    """Show a trigger."""
    with server() as api:
        print_json(api.ask("GET", _path("triggers", name)))


@triggers.command("create")
@_file
def create_trigger(file: IO[bytes]) -> None:
    """Create the trigger in FILE (JSON; - reads stdin)."""
    with server() as api:
        made = api.ask("POST", "triggers", json=read_json(file))
    click.echo(f"{made['name']}: {made['event_type']} starts {made['definition']}")


@triggers.command("replace")
@_name
@_file
def replace_trigger(name: str, file: IO[bytes]) -> None:
    """Replace what a trigger does by FILE (JSON without a name; - reads stdin)."""
    with server() as api:
        made = api.ask("PUT", _path("triggers", name), json=read_json(file))
    click.echo(f"{made['name']}: {made['event_type']} starts {made['definition']}")


@triggers.command("pause")
@_name
def pause_trigger(name: str) -> None:
    """Let events pass a trigger by; they are not taken later."""
    with server() as api:
        api.ask("POST", f"{_path('triggers', name)}/pause")
    click.echo(f"{name}: paused")


@triggers.command("resume")
@_name
def resume_trigger(name: str) -> None:
    """Let a trigger take events again."""
    with server() as api:
        api.ask("POST", f"{_path('triggers', name)}/resume")
    click.echo(f"{name}: takes events")


@triggers.command("delete")
@_name
def delete_trigger(name: str) -> None:
    """Delete a trigger; its workflows go on."""
    with server() as api:
        api.ask("DELETE", _path("triggers", name))
    click.echo(f"{name}: deleted")


@click.group("event-sources")
def event_sources() -> None:
    """Take webhooks from anybody as events."""


@event_sources.command("list")
@json_option
def list_sources(is_json: bool) -> None:
    """List your sources with their addresses."""
    with server() as api:
        found = api.ask("GET", "event-sources")
    if is_json:
        print_json(found)
        return
    for item in found["items"]:
        click.echo(f"{item['name']}  {item['verification']}  {item['url']}")


@event_sources.command("show")
@_name
def show_source(name: str) -> None:
    """Show a source without its secret."""
    with server() as api:
        print_json(api.ask("GET", _path("event-sources", name)))


@event_sources.command("create")
@_file
def create_source(file: IO[bytes]) -> None:
    """Create the source in FILE (JSON; - reads stdin); print its address and its secret."""
    with server() as api:
        _say_secret(api.ask("POST", "event-sources", json=read_json(file)))


@event_sources.command("replace")
@_name
@_file
def replace_source(name: str, file: IO[bytes]) -> None:
    """Replace the settings of a source by FILE (JSON without name and secret; - reads stdin)."""
    with server() as api:
        api.ask("PUT", _path("event-sources", name), json=read_json(file))
    click.echo(f"{name}: changed")


@event_sources.command("rotate")
@_name
@click.option("--secret-file", type=click.File("r"), help="The new secret; without it, made.")
@click.option(
    "--former-hours",
    type=click.FloatRange(0, 168),
    default=24.0,
    show_default=True,
    help="How long the former secret stays valid.",
)
def rotate_source(name: str, secret_file: IO[str] | None, former_hours: float) -> None:
    """Give a source another secret, and print it."""
    secret = secret_file.read().strip() if secret_file else None
    body = given(secret=secret, former_hours=former_hours)
    with server() as api:
        _say_secret(api.ask("POST", f"{_path('event-sources', name)}/rotate", json=body))


@event_sources.command("delete")
@_name
def delete_source(name: str) -> None:
    """Delete a source; its address is unknown from then on."""
    with server() as api:
        api.ask("DELETE", _path("event-sources", name))
    click.echo(f"{name}: deleted")


def _say_secret(source: Json) -> None:
    click.echo(f"url: {source['url']}")
    if source["secret"] is not None:
        click.echo(f"secret: {source['secret']}")
        click.echo("the secret is not shown again", err=True)


def _path(kind: str, name: str) -> str:
    return f"{kind}/{quote(name, safe='')}"


COMMANDS: dict[str, click.Command] = {
    "events-in": events_in,
    "waits": waits,
    "triggers": triggers,
    "event-sources": event_sources,
}
