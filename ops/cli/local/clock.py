"""`playalter clock`: move the time of a sandboxed instance ahead."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from ops.cli.exits import FAILED, UNREACHABLE, USAGE, leave
from ops.cli.local.settings import configured, stores
from ops.cli.remote.control import json_option

if TYPE_CHECKING:  # requests and psycopg2 take longer to import than --help may take
    from ops.laptop.clocks import Clocks, Position

_RECONCILE_SECONDS = 3600.0
_NO_SANDBOX = (
    "this instance has no sandbox (SANDBOX_URL and SANDBOX_KEY are not set): only the clock of an"
    " instance whose Stripe is imitated can be moved"
)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def clock(ctx: click.Context, /, is_json: bool) -> None:
    """Show the two clocks of a sandboxed instance: Playalter's and the imitated Stripe's."""
    if ctx.invoked_subcommand is None:
        with _clocks() as clocks:
            _show(clocks.position(), is_json)


@clock.command()
@click.argument("duration", required=False)
@click.option("--to", "to", help="Move to this time instead, such as 2026-12-01T00:00:00Z.")
@click.option("--step", default="1h", show_default=True, help="The longest slice.")
@click.option(
    "--patience",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="Seconds that what is due in a slice may take.",
)
@json_option
def advance(
    duration: str | None, to: str | None, step: str, patience: float, is_json: bool
) -> None:
    """Move both clocks ahead by DURATION, such as 90m or 3d.

    They move in slices. What is due in a slice is done before the next: schedules, timers,
    time-outs, renewals at Stripe with their webhooks, and the comparison of the ledger with each
    day that is over. A clock that is behind the other catches up first. If the command is
    interrupted, --to with the time that it names goes on.
    """
    if (duration is None) == (to is None):
        raise click.UsageError("give a duration, or --to with a time")
    length = _seconds(step, "--step")
    with _clocks() as clocks:
        from ops.laptop.clocks import NotSettled

        begun = clocks.position()
        target = _target(begun, duration, to)
        end = _text(begun.at + target)
        try:
            moved = clocks.advance(target, step=length, patience=patience, each_slice=_reconcile)
        except (NotSettled, KeyboardInterrupt) as err:
            _show(clocks.position(), is_json)
            why = str(err) or "interrupted"
            leave(FAILED, f"{why}; to go on: playalter clock advance --to {end}")
        _show(moved, is_json)


def _target(begun: "Position", duration: str | None, to: str | None) -> timedelta:
    """By how much both clocks shall be ahead of the real time."""
    if duration is not None:
        return begun.furthest + _seconds(duration, "DURATION")
    assert to is not None
    try:
        at = datetime.fromisoformat(to)
    except ValueError as err:
        raise click.BadParameter(f"{to!r} is no time", param_hint="--to") from err
    if at.tzinfo is None:
        raise click.BadParameter("the time needs its zone, such as Z", param_hint="--to")
    return at - begun.at


def _seconds(text: str, hint: str) -> timedelta:
    from chains.language.scalars import LONGEST_SECONDS, parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as err:
        raise click.BadParameter(str(err), param_hint=hint) from err
    if not 0 < seconds <= LONGEST_SECONDS:
        raise click.BadParameter("must be more than 0 and at most 366 days", param_hint=hint)
    return timedelta(seconds=seconds)


def _reconcile(position: "Position") -> None:
    """Compare the ledger with the days that are over, as the hourly job does."""
    from chains.money import reconciling

    done = reconciling.reconcile_due(_RECONCILE_SECONDS)
    if done["failed"]:
        leave(UNREACHABLE, "a platform does not state its balance; the clocks stand where they are")
    if done["days"]:
        what = ", ".join(f"{done[name]} {name}" for name in ("days", "movements", "differences"))
        click.echo(f"{_text(position.at + position.playalter)}  compared {what}", err=True)


@contextmanager
def _clocks() -> Iterator["Clocks"]:
    """The clocks of this instance; ends the command if they may not be moved."""
    settings = configured(is_demo_allowed=True)
    sandbox, key = os.environ.get("SANDBOX_URL"), os.environ.get("SANDBOX_KEY")
    if not sandbox or not key:
        leave(USAGE, _NO_SANDBOX)
    from app import db, telemetry
    from ops.laptop.clocks import ClockRefused, opened
    from tasks.stripe.settings import StripeSettings

    telemetry.configure_logs(settings)  # without it, what is logged would stand in the output
    with stores():
        clocks = opened(db.dsn(settings.database_url), sandbox, key)
        try:
            ours, imitated = StripeSettings.current().base_url, clocks.stripe_url()
            if ours.rstrip("/") != imitated.rstrip("/"):
                leave(USAGE, f"this instance calls {ours}, and not the sandbox's {imitated}")
            yield clocks
        except ClockRefused as err:
            leave(FAILED, str(err))
        finally:
            clocks.close()


def _show(position: "Position", is_json: bool) -> None:
    from ops.cli.remote.workflows import print_json

    ahead = {"playalter": position.playalter, "stripe": position.stripe}
    if is_json:
        found = {
            name: {"now": _text(position.at + each), "ahead_seconds": each.total_seconds()}
            for name, each in ahead.items()
        }
        print_json(found | {"stand_together": position.stand_together})
        return
    for name, each in ahead.items():
        click.echo(f"{name:<9}  {_text(position.at + each)}  {each} ahead")
    if not position.stand_together:
        click.echo("the clocks differ: the next advance brings them together")


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


COMMANDS: dict[str, click.Command] = {"clock": clock}
