"""Functions and commands in a process of their own, forked from one that has loaded the code.

Loading takes a second of CPU. A fork takes a tenth of that, and gets and leaves what a new process
would: arguments, environment, streams, an exit code.
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from multiprocessing.context import ForkServerContext
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
SECONDS = 60.0

# What commands import when they are called; a name that is missing here costs time alone.
for _name in (
    "ops.cli.local.events",
    "ops.cli.local.keys",
    "ops.cli.local.workers",
    "ops.cli.remote.actions",
    "ops.cli.remote.api",
    "ops.cli.remote.definitions",
    "ops.cli.remote.prompts",
    "ops.cli.remote.queues",
    "ops.cli.remote.schedules",
    "ops.cli.remote.show",
    "ops.cli.remote.workflows",
    "ops.laptop.profile",
    "app.broker.celery",
    "app.broker.presence",
    "app.identity.keys",
    "app.record.verification",
    "chains.catalogue.offered",
    "chains.drawing.picture",
    "chains.plans.validation",
    "chains.repair.rebuild",
    "tests.bench.costs.running",
    "web.bodies",
):
    import_module(_name)


def playalter(*arguments: str, given: str = "", **changes: str) -> CompletedProcess[str]:
    """Run the command with `given` as its input and these changes of the environment."""
    return command("ops.cli", *arguments, given=given, **changes)


def command(module: str, *arguments: str, given: str = "", **changes: str) -> CompletedProcess[str]:
    """Run the `main` of a module with command-line arguments, as `python -m` would."""
    return forked(_be_command, module, arguments, given=given, **changes)


def forked(
    function: Callable[..., object], *arguments: Any, given: str = "", **changes: str
) -> CompletedProcess[str]:
    """Call a function of a module in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        stdin, stdout, stderr = (Path(folder) / name for name in ("stdin", "stdout", "stderr"))
        stdin.write_text(given)
        streams = [str(stdin), str(stdout), str(stderr)]
        call = (function, arguments, os.environ | changes, streams)
        process = _forking().Process(target=_be_called, args=call)
        process.start()
        process.join(SECONDS)
        code = process.exitcode
        process.kill()
        assert code is not None, f"{function.__name__} {arguments} has not ended"
        return CompletedProcess(arguments, code, _text(stdout), _text(stderr))


def _forking() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _text(stream: Path) -> str:
    return stream.read_text() if stream.exists() else ""


def _be_called(
    function: Callable[..., object],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    streams: list[str],
) -> None:
    """Prepare the forked process, and call the function in it."""
    os.chdir(CHECKOUT)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(streams):
        flags = os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY
        os.dup2(os.open(path, flags, 0o600), number)
    # The objects that were there belong to the process that forked this one.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "w" if n else "r") for n in range(3))
    function(*arguments)


def _be_command(module: str, arguments: tuple[str, ...]) -> None:
    sys.argv = [module, *arguments]
    sys.exit(import_module(module).main())
