"""`playalter prices`: what platforms cost, directly in the database."""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

import click

from ops.cli.exits import USAGE, leave
from ops.cli.local.settings import configured, stores

if TYPE_CHECKING:  # as in ops/cli/local/settings.py
    from app.tariffs.rows import Price


@click.group(invoke_without_command=True)
@click.option("--platform", help="Only the prices of this platform.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_context
def prices(context: click.Context, platform: str | None, is_json: bool) -> None:
    """List what platforms cost: prices that ship, and those of the operators, which count first.

    At the end stand models that end soon, and what was used and had no price: its cost was
    estimated at the dearest price of the unit, or left out if no platform has one.
    """
    if context.invoked_subcommand is not None:
        return
    configured(is_demo_allowed=True)
    from app.tariffs import current
    from tasks import tariffs

    with stores():
        own, gaps, own_ends = current.own_rows(), current.gaps(), current.own_ends()
        every = {*tariffs.platforms(), *(name for name, _ in own_ends)}
        warnings = {name: _warnings(name) for name in every}
    named = (*(row.platform for row in own), *(name for name, _ in own_ends))
    names = sorted({*tariffs.platforms(), *named})
    if platform is not None and platform not in names:
        leave(USAGE, f"{platform} has no prices; {', '.join(names)} have")
    wanted = [name for name in names if platform in (None, name)]
    shipped = [row for name in wanted for row in tariffs.shipped(name).prices]
    mine = [row for row in own if row.platform in wanted]
    missing = [gap for gap in gaps if platform in (None, gap["platform"])]
    ends = [warnings[name] for name in wanted if name in warnings]
    if is_json:
        rows = [_json(row, is_own=False) for row in shipped]
        rows += [_json(row, is_own=True) for row in mine]
        told = [{**gap, "noted_at": str(gap["noted_at"])} for gap in missing]
        warned = [line for lines in ends for line in lines]
        click.echo(json.dumps({"prices": rows, "missing": told, "warnings": warned}, indent=2))
        return
    _print_rows(shipped, mine)
    for line in [line for lines in ends for line in lines]:
        click.echo(f"! {line}")
    for gap in missing:
        counted = "estimated" if gap["is_counted"] else "NOT COUNTED"
        click.echo(
            f"! {gap['platform']}: {gap['item']} has no price for {gap['unit']}; its cost is"
            f" {counted} (last used {gap['noted_at']:%Y-%m-%d %H:%M}); set it by"
            f" playalter prices set {gap['platform']} {gap['item']} {gap['unit']} USD"
        )


@prices.command("set")
@click.argument("platform")
@click.argument("item")
@click.argument("unit")
@click.argument("usd")
@click.option("--from", "starts_on", help="The day from which it counts, such as 2026-12-31.")
@click.option("--tier", default="", help="Only for this level of service.")
@click.option("--context-over", type=int, default=0, help="Only for more tokens of context.")
@click.option("--source", default="", help="Where the price was read.")
def set_price(
    platform: str,
    item: str,
    unit: str,
    usd: str,
    starts_on: str | None,
    tier: str,
    context_over: int,
    source: str,
) -> None:
    """Set what UNIT of ITEM costs: USD for a million tokens or characters, a second or a picture.

    ITEM is a model or hardware. UNIT is input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, image_tokens, image_output_tokens, audio_tokens, audio_output_tokens,
    characters, seconds or pictures. Without --from, it counts from today.
    """
    configured(is_demo_allowed=True)
    from app.tariffs import current
    from app.tariffs.rows import InvalidPrice, price

    with stores():
        day = starts_on or str(current.today())
    try:
        made = price(
            platform, item, unit, usd, day, tier=tier, context_over=context_over, source=source
        )
    except InvalidPrice as err:
        leave(USAGE, str(err))
    with stores():
        current.keep(made)
    click.echo(f"{_line(made)}; running processes use it within {current.FRESH_SECONDS:.0f} s")


@prices.command()
@click.argument("platform")
@click.argument("item")
@click.argument("unit")
@click.argument("starts_on", metavar="FROM")
@click.option("--tier", default="", help="That of this level of service.")
@click.option("--context-over", type=int, default=0, help="That of more tokens of context.")
def remove(
    platform: str, item: str, unit: str, starts_on: str, tier: str, context_over: int
) -> None:
    """Delete an operator's price that counts from the day FROM.

    That of a tier or of a longer context is another price, which --tier and --context-over name.
    """
    configured(is_demo_allowed=True)
    from app.tariffs import current

    day = _day(starts_on)
    with stores():
        count = current.remove(platform, item, unit, day, tier, context_over)
    if not count:
        leave(USAGE, "there is no such price of the operators (playalter prices lists them)")
    only = _only(tier, context_over)
    click.echo(f"deleted: {platform} {item} {unit}{only}, from {day}")


@prices.command("end")
@click.argument("platform")
@click.argument("model")
@click.argument("ends_on", metavar="DAY")
@click.option("--successor", help="The model to choose instead.")
def set_end(platform: str, model: str, ends_on: str, successor: str | None) -> None:
    """Record that the vendor ends MODEL on DAY: a model, or owner/name or owner/name:version.

    People are told of it 60 days ahead; from DAY on, steps that need it fail with `model_ended`.
    """
    configured(is_demo_allowed=True)
    from app.tariffs import current
    from app.tariffs.rows import End

    with stores():
        current.keep_end(platform, End(model, _day(ends_on), successor))
    click.echo(f"{platform}: {model} ends on {ends_on}")


@prices.command("no-end")
@click.argument("platform")
@click.argument("model")
def remove_end(platform: str, model: str) -> None:
    """Delete what `end` has recorded of MODEL; an end that ships counts again."""
    configured(is_demo_allowed=True)
    from app.tariffs import current

    with stores():
        count = current.remove_end(platform, model)
    if not count:
        leave(USAGE, "operators have recorded no end of this model")
    click.echo(f"deleted: the end of {platform} {model}")


def _day(said: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError:
        leave(USAGE, f"{said!r} is no day such as 2026-11-30")


def _warnings(platform: str) -> list[str]:
    from app.tariffs import current
    from tasks import tariffs

    book, on = tariffs.book(platform), current.today()
    told = [book.warning(end.model, on) for end in book.ends()]
    return [f"{platform}: {line}" for line in told if line]


def _print_rows(shipped: Iterable["Price"], own: Iterable["Price"]) -> None:
    by_platform: dict[str, list[str]] = defaultdict(list)
    for row in shipped:
        by_platform[row.platform].append(f"  {_line(row)}")
    for row in own:
        by_platform[row.platform].append(f"* {_line(row)}")
    for name, lines in sorted(by_platform.items()):
        click.echo(name)
        for line in lines:
            click.echo(line)
    click.echo("(* of the operators)")


def _line(row: "Price") -> str:
    from app.tariffs.rows import UNITS

    per = "a million" if UNITS[row.unit] > 1 else "one"
    only = _only(row.tier, row.context_over)
    source = f"  ({row.source})" if row.source else ""
    return f"{row.item} {row.unit}: {row.usd:f} USD {per}{only}, from {row.starts_on}{source}"


def _only(tier: str, context_over: int) -> str:
    told = f", tier {tier}" if tier else ""
    return told + (f", context over {context_over:,}" if context_over else "")


def _json(row: "Price", *, is_own: bool) -> dict[str, object]:
    return {
        "platform": row.platform,
        "item": row.item,
        "unit": row.unit,
        "usd": f"{row.usd:f}",
        "tier": row.tier or None,
        "context_over": row.context_over,
        "from": str(row.starts_on),
        "source": row.source or None,
        "is_own": is_own,
    }


COMMANDS = {"prices": prices}
