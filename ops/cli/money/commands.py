"""`playalter money`: the customers' money, over HTTP; only `reconcile` needs the settings."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from ops.cli.exits import UNREACHABLE, leave
from ops.cli.local.settings import configured, stores
from ops.cli.money.amounts import amount, difference, margin, parts
from ops.cli.money.export import FORMATS
from ops.cli.remote.control import given, json_option
from ops.cli.remote.workflows import print_json, server

if TYPE_CHECKING:  # requests takes longer to import than --help may take
    from ops.cli.remote.api import Api

Json = dict[str, Any]
Command = Callable[..., Any]

_PAGE = 500
_RECONCILE_SECONDS = 3600.0
_FILTERS = (
    click.option("--workflow", "workflow_id", type=click.UUID, help="Only of this workflow."),
    click.option("--definition", "type", help="Only of this type of workflow."),
    click.option("--since", help="Only from this time on, such as 2026-11-22T10:00:00Z."),
    click.option("--until", help="Only before this time."),
)


def _filters(command: Command) -> Command:
    """Add the options that choose entries."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@_filters
@click.option(
    "--export",
    "format",
    type=click.Choice(sorted(FORMATS)),
    help="Print the entries instead, for a spreadsheet or for beancount.",
)
@json_option
@click.pass_context
def money(ctx: click.Context, /, format: str | None, is_json: bool, **filters: Any) -> None:
    """Show the balance of each account of the customers' money, in each currency.

    An admin key shows the money of all users.
    """
    if ctx.invoked_subcommand is not None:
        return
    chosen = _chosen(filters)
    with server() as api:
        if format is not None:
            for line in FORMATS[format](_entries(api, chosen)):
                click.echo(line)
            return
        found = api.ask("GET", "money/balances", params=chosen)
    if is_json:
        print_json(found)
        return
    items = found["items"]
    width = max((len(item["account"]) for item in items), default=0)
    for item in items:
        click.echo(f"{item['account']:<{width}}  {amount(item['amount'], item):>18}")
    if not items:
        click.echo("nothing is booked")


@money.command("statement")
@click.argument("workflow_id", metavar="WORKFLOW", type=click.UUID)
def statement_of(workflow_id: UUID) -> None:
    """Show why a workflow has earned and cost what it did: each movement, and each step's cost."""
    from ops.cli.money.statement import statement

    chosen = {"workflow_id": str(workflow_id)}
    with server() as api:
        workflow = api.ask("GET", f"workflows/{workflow_id}")
        booked = list(_entries(api, chosen))
        found = api.ask("GET", "money/economics", params=chosen | {"by": "workflow"})
    for line in statement(workflow, booked, found["items"]):
        click.echo(line)


@money.command()
@_filters
@click.option("--kind", help="Only of this kind, such as refund.")
@click.option("--limit", type=click.IntRange(1, _PAGE), default=20, show_default=True)
@click.option("--before", type=click.UUID, help="Continue after the previous page.")
@json_option
def entries(is_json: bool, **filters: Any) -> None:
    """List the entries of the ledger, the last booked first."""
    with server() as api:
        page = api.ask("GET", "money/entries", params=_chosen(filters))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        words = (item["occurred_at"][:19], item["kind"], item["fact"], item["workflow_id"])
        click.echo("  ".join(filter(None, words)))
        for line in item["lines"]:
            click.echo(f"    {line['account']:<24} {amount(line['amount'], line):>18}")
    if page["next_before"]:
        click.echo(f"more: --before {page['next_before']}")


@money.command()
@_filters
@click.option(
    "--by",
    type=click.Choice(["workflow", "user", "definition", "version", "model"]),
    default="definition",
    show_default=True,
)
@click.option("--limit", type=click.IntRange(1, _PAGE), default=100, show_default=True)
@json_option
def economics(is_json: bool, **filters: Any) -> None:
    """Show what workflows earn of customers, beside what they cost at the platforms."""
    with server() as api:
        found = api.ask("GET", "money/economics", params=_chosen(filters))
    if is_json:
        print_json(found)
        return
    for item in found["items"]:
        for line in economy(item):
            click.echo(line)
    if not found["is_complete"]:
        click.echo("there are more: only the most expensive are shown")


@money.command()
@click.option("--state", type=click.Choice(["open", "explained"]), default="open")
@click.option("--limit", type=click.IntRange(1, _PAGE), default=50, show_default=True)
@click.option("--before", type=click.UUID, help="Continue after the previous page.")
@json_option
def differences(is_json: bool, **filters: Any) -> None:
    """List where the ledger and the platforms' statements differ (needs an admin key)."""
    with server() as api:
        page = api.ask("GET", "money/differences", params=_chosen(filters))
    if is_json:
        print_json(page)
        return
    for item in page["items"]:
        for line in difference(item):
            click.echo(line)
    if page["next_before"]:
        click.echo(f"more: --before {page['next_before']}")


@money.command()
@click.argument("difference_id", metavar="DIFFERENCE", type=click.UUID)
@click.option("--note", required=True, help="Why the two sides differ; this is recorded.")
def explain(difference_id: UUID, note: str) -> None:
    """Close a difference with an explanation (needs an admin key)."""
    with server() as api:
        done = api.ask("POST", f"money/differences/{difference_id}/explain", json={"note": note})
    click.echo(f"{done['id']} explained")


@money.command()
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Compare this day (UTC) again; by default those that are over and not compared yet.",
)
@json_option
def reconcile(day: datetime | None, is_json: bool) -> None:
    """Compare the ledger with the platforms' statements (needs the settings of the server)."""
    configured(is_demo_allowed=True)
    from app.errors import InvalidInput, NotConfigured, Outcome, Unavailable
    from chains.money import reconciling

    try:
        with stores():
            if day is None:
                done = reconciling.reconcile_due(_RECONCILE_SECONDS)
            else:
                done = {"days": 0, "movements": 0, "booked": 0, "differences": 0}
                for platform in reconciling.stating():
                    found = reconciling.reconcile_day(platform, day.date(), again=True)
                    for name, number in (found or {}).items():
                        done[name] += number
    except InvalidInput as err:
        raise click.BadParameter(err.message, param_hint="--day") from err
    except (NotConfigured, Outcome, Unavailable) as err:
        leave(UNREACHABLE, err.message)
    if is_json:
        print_json(done)
    else:
        click.echo(", ".join(f"{number} {name}" for name, number in done.items()))
    if done.get("failed"):
        leave(UNREACHABLE, "a platform did not answer; the rest is compared next time")


def economy(item: Json) -> Iterator[str]:
    """What a group of workflows has earned and cost, in lines for people."""
    from ops.cli.remote.show import dollars  # it imports rich

    name = item["owner"] or item["key"] or "no workflow"
    yield f"{name}  {item['workflows']} workflows, cost {dollars(item['cost_micro_usd']) or '$0'}"
    for each in item["money"]:
        yield f"    earned {amount(each['net'], each)}  ({parts(each) or 'nothing'})"
    yield f"    {margin(item)}"


def _entries(api: "Api", chosen: Json) -> Iterator[Json]:
    """All entries that are chosen, page by page."""
    before: str | None = None
    while True:
        params = chosen | given(before=before) | {"limit": _PAGE}
        page = api.ask("GET", "money/entries", params=params)
        yield from page["items"]
        before = page["next_before"]
        if before is None:
            return


def _chosen(filters: Json) -> Json:
    return {
        name: str(value) if isinstance(value, UUID) else value
        for name, value in given(**filters).items()
    }


COMMANDS: dict[str, click.Command] = {"money": money}
