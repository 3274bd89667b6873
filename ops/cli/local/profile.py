"""`playalter up` and `playalter demo`: run a whole instance on this machine, in the foreground."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ops.cli.exits import FAILED, leave

if TYPE_CHECKING:  # the profile's libraries take longer to import than --help may take
    from ops.laptop.profile import Profile
    from ops.laptop.supervisor import Supervisor

F = TypeVar("F", bound=Callable[..., Any])

_PORTS = ("web", "flower", "sandbox")
CHECKOUT = Path(__file__).resolve().parents[3]


def _where(command: F) -> F:
    """Add the options for an instance's data folder and ports."""
    port = click.IntRange(0, 65_535)
    for service in reversed(_PORTS):
        given = f"PLAYALTER_{service.upper()}_PORT"
        text = f"Port of {service}; 0 means any. [default: ${given}, else the standard port]"
        command = click.option(f"--{service}-port", type=port, help=text)(command)
    folder = click.Path(file_okay=False, path_type=Path)
    option = click.option("--data", type=folder, default=CHECKOUT / ".data", show_default=".data")
    fresh = click.option("--fresh", is_flag=True, help="Delete all data first.")
    return option(fresh(command))


@contextlib.contextmanager
def instance(
    data: Path, fresh: bool, **ports: int | None
) -> Iterator[tuple["Profile", "Supervisor"]]:
    """A context in which all services run; at its end they are stopped.

    A LaptopFault or an OSError ends the command with a message.
    """
    from ops.laptop.faults import LaptopFault
    from ops.laptop.profile import Ports, open_profile
    from ops.laptop.supervisor import signals_as_exit

    try:
        with contextlib.ExitStack() as owned:
            owned.enter_context(signals_as_exit())
            wanted = Ports.from_environment(os.environ)
            chosen = {name: port for name, port in ports.items() if port is not None}
            profile = open_profile(
                data, os.environ, is_fresh=fresh, ports=replace(wanted, **chosen)
            )
            owned.callback(profile.close)
            supervisor = owned.enter_context(profile.supervisor())
            owned.enter_context(profile.scaler(supervisor))
            yield profile, supervisor
    except LaptopFault as err:
        leave(FAILED, str(err))
    except OSError as err:
        leave(FAILED, f"{err.filename or data}: {err.strerror or err}")


@click.command()
@_where
def up(
    data: Path, fresh: bool, web_port: int | None, flower_port: int | None, sandbox_port: int | None
) -> None:
    """Run everything on this machine until Ctrl-C: stores, sandbox, web, workers, Flower."""
    click.echo("starting ...", err=True)
    ports = {"web": web_port, "flower": flower_port, "sandbox": sandbox_port}
    with (
        contextlib.suppress(KeyboardInterrupt),
        instance(data, fresh, **ports) as (profile, supervisor),
    ):
        from ops.cli.local.demo import addresses, stay

        for name, address in addresses(profile).items():
            click.echo(f"{name:<10} {address}")
        click.echo(f"{'settings':<10} {profile.data.path / 'environment.json'}")
        click.echo("Ctrl-C stops all services.")
        stay(supervisor)


@click.command()
@click.option("--once", is_flag=True, help="Stop when the campaign has ended.")
@click.option("--targets", type=click.IntRange(1, 50), default=4, show_default=True)
@_where
def demo(
    once: bool,
    targets: int,
    data: Path,
    fresh: bool,
    web_port: int | None,
    flower_port: int | None,
    sandbox_port: int | None,
) -> None:
    """Start everything and run one face-swap campaign with real photographs."""
    from ops.cli.local.demo import run

    ports = {"web": web_port, "flower": flower_port, "sandbox": sandbox_port}
    code = FAILED
    try:
        code = run(lambda: instance(data, fresh, **ports), targets=targets, is_once=once)
    except KeyboardInterrupt:
        click.echo("\nstopped; the next start continues the campaign", err=True)
    raise SystemExit(code)


COMMANDS: dict[str, click.Command] = {"up": up, "demo": demo}
