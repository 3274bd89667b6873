"""The processes of an instance, each replaced by the program that does the work."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from ops.cli.exits import USAGE, leave
from ops.cli.local.settings import configured, ready_to_work, stores

if TYPE_CHECKING:  # pydantic takes longer to import than --help may take
    from app.settings import Settings


@click.command()
def web() -> None:
    """Serve HTTP (gunicorn, one process with threads)."""
    settings = ready_to_work()
    _become(
        "gunicorn",
        "web:create_app_from_environment()",
        *("--bind", f"{settings.web_host}:{settings.web_port}"),
        *("--worker-class", "web.server.Worker", "--threads", str(settings.web_threads)),
        # What is open then is event streams, and their readers come back with Last-Event-ID.
        *("--graceful-timeout", "3", "--keep-alive", "15", "--no-control-socket"),
        **_shared(settings),
    )


@click.command()
@click.option(
    "--threads",
    type=click.IntRange(1, 500),
    help="So many steps at once in one process: for steps that wait for others' answers.",
)
@click.option("--queues", help="Work on these platforms' steps only, with commas: stripe,vercel.")
@click.option("--name", default="worker", show_default=True, help="Its name in Flower.")
def worker(threads: int | None, queues: str | None, name: str) -> None:
    """Work on steps (Celery, prefork, as many processes as AUTOSCALE says, or --threads)."""
    settings = ready_to_work()
    from app.broker.celery import CONTROL_QUEUE
    from tasks import platforms

    known = [CONTROL_QUEUE, *(platform.name for platform in platforms())]
    wanted = known if queues is None else [each.strip() for each in queues.split(",")]
    unknown = ", ".join(sorted(set(wanted) - set(known)))
    if unknown:
        leave(USAGE, f"--queues: there is no platform {unknown}; there are {', '.join(known)}")
    pool = ("--autoscale", settings.autoscale)
    if threads is not None:
        pool = ("--pool=threads", f"--concurrency={threads}")
    _become(
        *("celery", "-A", "chains.worker", "worker", "-n", f"{name}@%h"),
        *(*pool, "-Q", ",".join(wanted), "-E"),
        # Heartbeats stay: Flower takes a worker without them for dead.
        *("--without-gossip", "--without-mingle"),
        *("--loglevel", settings.log_level),
        # TERM then ends in a soft shutdown: what runs gets some seconds, the rest goes back.
        REMAP_SIGTERM="SIGQUIT",
        **_shared(settings),
    )


@click.command()
def reconciler() -> None:
    """Find what is due, lost or overdue, and move it (one or several)."""
    settings = ready_to_work()
    os.environ.update(_shared(settings))
    from app import telemetry
    from chains.repair.reconcile import main

    telemetry.configure_logs(settings)
    main()


@click.command()
def beat() -> None:
    """Run housekeeping by the clock (Celery beat, its schedule in memory)."""
    configured()
    # The default scheduler would keep a file; the schedule is code and nothing is lost with it.
    scheduler = ("--scheduler", "celery.beat:Scheduler")
    _become("celery", "-A", "chains.worker", "beat", *scheduler)


@click.command()
def flower() -> None:
    """Serve Flower behind its password (FLOWER_USER, FLOWER_PASSWORD)."""
    settings = configured()
    password = settings.flower_password
    if password is None or not password.get_secret_value():
        leave(USAGE, "FLOWER_PASSWORD is not set; Flower is not served without one")
    _become(
        *("celery", "-A", "chains.worker", "flower"),
        *("--address=127.0.0.1", f"--port={settings.flower_port}"),
        # In the environment: a command line can be read by every user of the machine.
        FLOWER_BASIC_AUTH=f"{settings.flower_user}:{password.get_secret_value()}",
    )


@click.command()
def migrate() -> None:
    """Bring the database up to date and register the workflow types that ship, but for those that
    call platforms which PLATFORMS leaves out."""
    settings = ready_to_work()
    from app import db
    from chains import definitions
    from chains.actions import actions
    from chains.catalogue import versions
    from chains.language.definition import Definition
    from chains.language.tree import action_names

    with stores():
        db.migrate(settings.database_url)
        for body in definitions.ALL:
            lacking = action_names(Definition.from_body(body)) - set(actions())
            if lacking:
                click.echo(f"{body['name']} left out: no {', '.join(sorted(lacking))} here")
                continue
            made = versions.register(body, activates=True)
            click.echo(f"{made.name} version {made.version}")


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Imitate the vendors on loopback (--base-port 9100 --state DIR)."""
    os.execv(sys.executable, [sys.executable, "-m", "ops.sandbox", *arguments])  # noqa: S606 - ours


def _become(module: str, *arguments: str, **variables: str) -> NoReturn:
    environment = os.environ | variables
    argv = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, argv, environment)  # noqa: S606 - our own argv, no shell


def _shared(settings: "Settings") -> dict[str, str]:
    # prometheus_client decides when it is imported whether samples are shared.
    if settings.metrics_dir is None:
        return {}
    settings.metrics_dir.mkdir(parents=True, exist_ok=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(settings.metrics_dir)}


COMMANDS: dict[str, click.Command] = {
    command.name or "": command
    for command in (web, worker, reconciler, beat, flower, migrate, sandbox)
}
