"""`playalter web|worker|reconciler|hooks|beat|flower|migrate|sandbox`: an instance's processes.

Most commands only read the settings and then run the program that does the work, in this process:
a new interpreter would import everything a second time.
"""

import contextlib
import ctypes
import os
import runpy
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from ops.cli.exits import FAILED, USAGE, leave
from ops.cli.local.settings import configured, ready_to_work, stores

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's malloc.h."""

if TYPE_CHECKING:  # pydantic takes longer to import than --help may take
    from app.settings import Settings


@click.command()
def web() -> None:
    """Serve HTTP (gunicorn: one process with threads)."""
    settings = ready_to_work()
    _become(
        "gunicorn",
        "web:create_app_from_environment()",
        *("--bind", f"{settings.web_host}:{settings.web_port}"),
        *("--worker-class", "web.server.Worker", "--threads", str(settings.web_threads)),
        # After 3 s only event streams are still open; their clients reconnect with Last-Event-ID.
        *("--graceful-timeout", "3", "--keep-alive", "15", "--no-control-socket"),
        # By default, gunicorn lets clients on loopback set the scheme and move paths by headers.
        *("--forwarded-allow-ips", "", "--forwarder-headers", "", "--header-map", "drop"),
        **_shared(settings),
    )


@click.command()
@click.option(
    "--threads",
    type=click.IntRange(1, 500),
    help="Run so many steps at once, in threads of one process. [default: $WORKER_THREADS]",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 100),
    help="Run so many steps at once instead, each in a process of its own; for steps that compute.",
)
@click.option("--queues", help="Only run steps of these platforms, for example stripe,vercel.")
@click.option("--without", help="Run the steps of all platforms but these, for example control.")
@click.option("--name", default="worker", show_default=True, help="The worker's name in Flower.")
def worker(
    threads: int | None,
    processes: int | None,
    queues: str | None,
    without: str | None,
    name: str,
) -> None:
    """Run steps: many at once in one process, because most of them wait for a platform.

    TERM ends it within seconds; INT ends it when all of its steps have ended.
    """
    settings = ready_to_work()
    if threads is not None and processes is not None:
        leave(USAGE, "--threads and --processes exclude each other; give one of them")
    pool = ("--pool=threads", f"--concurrency={threads or settings.worker_threads}")
    if processes is not None:
        pool = ("--pool=prefork", f"--concurrency={processes}")
    _become(
        *("celery", "-A", "chains.worker", "worker", "-n", f"{name}@%h"),
        *(*pool, "-Q", ",".join(_served(queues, without))),
        # Heartbeats stay on, because Flower shows a worker without them as dead.
        *("--without-gossip", "--without-mingle"),
        *("--loglevel", settings.log_level),
        # TERM then starts a soft shutdown: running steps get some seconds, the others are
        # returned to their queues.
        REMAP_SIGTERM="SIGQUIT",
        **_shared(settings),
    )


def _served(queues: str | None, without: str | None) -> list[str]:
    """The queues that a worker with these options takes. End the command if one is unknown."""
    from app.broker.celery import CONTROL_QUEUE
    from tasks import platforms

    known = [CONTROL_QUEUE, *(platform.name for platform in platforms())]
    wanted = known if queues is None else _names("--queues", queues, known)
    left_out = [] if without is None else _names("--without", without, known)
    served = [each for each in wanted if each not in left_out]
    if not served:
        leave(USAGE, "--without leaves no platform")
    return served


def _names(option: str, text: str, known: list[str]) -> list[str]:
    names = [each.strip() for each in text.split(",")]
    unknown = ", ".join(sorted(set(names) - set(known)))
    if unknown:
        leave(USAGE, f"{option}: unknown platform {unknown}; known are {', '.join(known)}")
    return names


@click.command()
def reconciler() -> None:
    """Find steps that are due, lost or overdue, and publish or repair them.

    Several may run at once.
    """
    settings = ready_to_work()
    os.environ.update(_shared(settings))
    from app import telemetry
    from chains.repair.reconcile import main

    telemetry.configure_logs(settings)
    main()


@click.command()
def hooks() -> None:
    """Send webhooks to the addresses that users have set.

    Several may run at once. TERM ends it when its attempts have ended, within 15 seconds.
    """
    settings = ready_to_work()
    os.environ.update(_shared(settings))
    from app import telemetry
    from chains.webhooks.sender import main

    telemetry.configure_logs(settings)
    main()


@click.command()
def beat() -> None:
    """Fire schedules, and start periodic housekeeping (Celery beat). Several may run at once."""
    configured()
    # The default scheduler keeps its state in a file. Here it is in PostgreSQL and in code, so a
    # restart loses nothing.
    scheduler = ("--scheduler", "chains.firing.beat:Scheduler")
    _become("celery", "-A", "chains.worker", "beat", *scheduler)


@click.command()
def flower() -> None:
    """Serve Flower behind its password (FLOWER_USER, FLOWER_PASSWORD)."""
    settings = configured()
    password = settings.flower_password
    if password is None or not password.get_secret_value():
        leave(USAGE, "FLOWER_PASSWORD is not set; Flower needs a password")
    _become(
        *("ops.flower", "--address=127.0.0.1", f"--port={settings.flower_port}"),
        # In the environment, because every user of the machine can read a command line.
        FLOWER_BASIC_AUTH=f"{settings.flower_user}:{password.get_secret_value()}",
    )


@click.command()
@click.option("--fresh", "is_fresh", is_flag=True, help="Delete everything in the database first.")
@click.option("--yes", "is_meant", is_flag=True, help="Do not ask before --fresh deletes.")
def migrate(is_fresh: bool, is_meant: bool) -> None:
    """Migrate the database and register the workflow types that are shipped.

    A type is not registered if PLATFORMS leaves out a platform that it calls.
    """
    settings = ready_to_work()
    from app import db
    from chains import definitions
    from chains.actions import actions
    from chains.catalogue import versions
    from chains.language.definition import Definition
    from chains.language.tree import action_names

    if is_fresh and not is_meant:
        _confirm_deletion(settings)
    with stores():
        try:
            db.migrate(settings.database_url, is_fresh=is_fresh)
        except db.OtherBaseline as err:
            leave(FAILED, str(err))
        for body in definitions.ALL:
            lacking = action_names(Definition.from_body(body)) - set(actions())
            if lacking:
                click.echo(f"{body['name']} left out: no {', '.join(sorted(lacking))} here")
                continue
            made = versions.register(body, activates=True)
            click.echo(f"{made.name} version {made.version}")
            for words in made.warnings:
                click.echo(f"warning: {words}", err=True)


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Imitate the vendors on loopback (--base-port 9100 --state DIR)."""
    os.execv(sys.executable, [sys.executable, "-m", "ops.sandbox", *arguments])  # noqa: S606 - ours


def _confirm_deletion(settings: "Settings") -> None:
    """Ask whether the database may be emptied. End the command if not, or without a terminal."""
    from sqlalchemy import make_url

    if not sys.stdin.isatty():
        leave(USAGE, "--fresh deletes everything in the database; without a terminal add --yes")
    url = make_url(settings.database_url)
    where = f"database {url.database} on {url.host or 'this machine'}"
    if not click.confirm(f"Delete everything in {where}?", err=True):
        leave(FAILED, "nothing was changed")


def _become(module: str, *arguments: str, **variables: str) -> NoReturn:
    """Run a module as `python -m` does, and end with it."""
    _return_memory()
    os.environ.update(variables)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


def _return_memory() -> None:
    """Let glibc return blocks of 1 MB or more to the system: a decoded picture consists of them.

    By default it keeps blocks of up to 32 MB for later, in each thread that has used some.
    """
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        with contextlib.suppress(AttributeError):  # other C libraries have no mallopt
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 2**20)


def _shared(settings: "Settings") -> dict[str, str]:
    # prometheus_client reads this variable when it is imported.
    if settings.metrics_dir is None:
        return {}
    settings.metrics_dir.mkdir(parents=True, exist_ok=True)
    return {"PROMETHEUS_MULTIPROC_DIR": str(settings.metrics_dir)}


COMMANDS: dict[str, click.Command] = {
    command.name or "": command
    for command in (web, worker, reconciler, hooks, beat, flower, migrate, sandbox)
}
