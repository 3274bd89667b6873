"""`playalter events`: checks the recorded events, and compares the rows with them."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from uuid import UUID

import click

from ops.cli.exits import FAILED, UNREACHABLE, USAGE, leave
from ops.cli.local.settings import configured, stores

if TYPE_CHECKING:  # pydantic takes longer to import than --help may take
    from app.chain import Fault
    from chains.repair.rebuild import Difference

_WORKFLOW = click.argument("workflow", type=click.UUID, required=False)
_JSON = click.option("--json", "is_json", is_flag=True, help="One JSON object per line.")


@click.group()
def events() -> None:
    """Check the recorded events (needs the settings of the server)."""


@events.command()
@_WORKFLOW
@click.option("--heads", "file", type=click.File("r"), help="Exported heads; - reads stdin.")
@_JSON
def verify(workflow: UUID | None, file: TextIO | None, is_json: bool) -> None:
    """Verify the hash chain of WORKFLOW or of all workflows; exit code 0 if there is no fault.

    The chain alone cannot show that its last events are missing; --heads shows it.
    """
    configured(is_demo_allowed=True)
    from app.record.anchors import HeadInvalid, read_heads
    from app.record.verification import Tally
    from app.record.verification import verify as faults

    tally = Tally()
    manifests: dict[int, str] = {}
    heads = () if file is None else read_heads(file, workflow, manifests)
    show = _lines(_fault, is_json)
    try:
        with stores():
            count = sum(map(show, faults(workflow, heads, tally, manifests)))
    except HeadInvalid as err:
        leave(USAGE, f"{getattr(file, 'name', 'heads')}: {err}")
    _end(workflow, tally.workflows, tally.events, count, "fault")


@events.command("export-heads")
@click.option(
    "--to", "path", type=click.Path(dir_okay=False), help="The file to write, atomically."
)
def export_heads(path: str | None) -> None:
    """Print each workflow's newest event and its hash, to be kept outside the database.

    The first line has the newest manifest of the archive, if there is one.
    """
    configured(is_demo_allowed=True)
    with stores():
        if path is None:
            for line in _exported():
                click.echo(line)
        else:
            click.echo(f"{_write(path, _exported())} heads", err=True)


def _exported() -> Iterator[str]:
    from app.archive.verification import last_manifest
    from app.record.anchors import manifest_line
    from app.record.verification import heads

    if manifest := last_manifest():
        yield manifest_line(manifest["number"], manifest["sha256"], manifest["at"])
    for head in heads():
        yield head.line()


@events.command()
@_WORKFLOW
@_JSON
def rebuild(workflow: UUID | None, is_json: bool) -> None:
    """Compare the rows of WORKFLOW or of all workflows with the state computed from their events.

    Differences are printed; nothing is changed.
    """
    configured(is_demo_allowed=True)
    from app.errors import Unavailable
    from app.record.verification import Tally
    from chains.repair.rebuild import differences

    tally = Tally()
    show = _lines(_difference, is_json)
    try:
        with stores():
            count = sum(map(show, differences(workflow, tally)))
    except Unavailable as err:
        leave(UNREACHABLE, err.message)
    if tally.gone:
        click.echo(f"{tally.gone} erased payloads were not compared", err=True)
    _end(workflow, tally.workflows, tally.events, count, "difference")


def _lines(text: Callable[[Any], str], is_json: bool) -> Callable[[Any], int]:
    """A function that prints one finding and returns 1, so that a sum counts the findings."""

    def show(found: Any) -> int:
        click.echo(json.dumps(asdict(found), default=str) if is_json else text(found))
        return 1

    return show


def _fault(fault: "Fault") -> str:
    event = "" if fault.seq is None else f" event {fault.seq}"
    return f"{fault.workflow or 'archive'}{event}: {fault.wrong}"


def _difference(found: "Difference") -> str:
    step = "" if found.step is None else f" {found.step}"
    says = f"events say {found.event_says}, the row says {found.row_says}"
    return f"{found.workflow}{step} {found.field}: {says}"


def _end(workflow: UUID | None, workflows: int, read: int, count: int, noun: str) -> None:
    if workflow is not None and workflows == 0 and count == 0:
        leave(USAGE, f"{workflow}: there is no such workflow")
    total = f"{workflows} workflows, {read} events, {count or 'no'} {noun}{'s' * (count != 1)}"
    click.echo(total, err=True)
    if count:
        raise SystemExit(FAILED)


def _write(path: str, lines: Iterator[str]) -> int:
    """Write the lines to a file, atomically, and return their number."""
    unfinished = Path(f"{path}.{os.getpid()}.part")
    try:
        with unfinished.open("x") as file:
            count = sum(1 for line in lines if file.write(line + "\n"))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as err:
        leave(USAGE, f"{path}: {err.strerror}")
    finally:
        unfinished.unlink(missing_ok=True)
    return count


COMMANDS: dict[str, click.Command] = {"events": events}
