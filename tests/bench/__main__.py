"""Compare durable steps with raw Celery and Restate, on servers of its own, in alternating runs."""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.comparing import picture, report
from tests.bench.comparing.arena import HTTP, RESTATE, Options
from tests.bench.comparing.compare import compare
from tests.bench.comparing.loads import LOADS, QUICK, W3_SLOW, Load
from tests.bench.options import positive, run, scratch, takes_json, tell, writable

OTHERS = (
    "burst",
    "waiting",
    "wide",
    "storage",
    "growth",
    "front",
    "running",
    "retention",
    "caches",
)
"""Modules of `costs`, which ops/bench starts by their name."""
QUICK_RUNS = 2
MOST_SLOTS = 50
_LONGEST_DELAY_MS = 100.0
_MOST_CORES = 1000.0


def main(arguments: list[str] | None = None) -> int:
    """Measure and report; 0 only if every step was recorded with its event."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.concurrency > MOST_SLOTS:
        parser.error(f"--concurrency {given.concurrency}: its PostgreSQL serves {MOST_SLOTS} slots")
    if given.peer:
        _check_peer(parser, given)
    found = _read(parser, given.from_file) if given.from_file else _measure(given)
    if given.svg:
        given.svg.write_text(picture.draw(found))
    tell(found, report.as_markdown(found) if given.readme else report.as_text(found), given.json)
    return 0 if report.is_whole(found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ops/bench",
        description=__doc__,
        epilog=f"loads: {', '.join(LOADS)}. ops/bench with {', '.join(OTHERS)} measures other"
        " things, with options of their own.",
    )
    parser.add_argument("loads", nargs="*", type=_load_name, help="which of them; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, two runs")
    parser.add_argument("--runs", type=positive, help="pairs of runs for each load (5)")
    parser.add_argument("--workflows", type=positive, help="exactly so many a run")
    parser.add_argument("--concurrency", type=positive, default=4, help="slots a worker (4)")
    parser.add_argument(
        "--seconds", type=positive, default=10, help="a run of a rate is cut to some such (10)"
    )
    parser.add_argument(
        "--commit-delay", type=_delay, metavar="2ms", help="make every commit slower by so much"
    )
    takes_json(parser)
    parser.add_argument(
        "--over", choices=(HTTP,), help="submit our workflows through the web front, too"
    )
    parser.add_argument(
        "--peer", choices=(RESTATE,),
        help="another system on the same loads; its first use installs it into the cache",
    )  # fmt: skip
    parser.add_argument(
        "--submitted", action=argparse.BooleanOptionalAction,
        help="time the submission, too; with --peer and with --over that is the default",
    )  # fmt: skip
    parser.add_argument(
        "--others", type=_cores, metavar="CORES", default=Options.others_cores,
        help="repeat a round in which other processes had more of the CPU"
        f" ({Options.others_cores})",
    )  # fmt: skip
    parser.add_argument("--svg", type=writable, metavar="FILE", help="write a picture there too")
    parser.add_argument("--readme", action="store_true", help="print a Markdown table instead")
    parser.add_argument(
        "--from", dest="from_file", type=Path, metavar="FILE",
        help="measure nothing: report what --json wrote",
    )  # fmt: skip
    return parser


def _load_name(said: str) -> str:
    if said not in LOADS:
        known = ", ".join([*LOADS, *OTHERS])
        raise argparse.ArgumentTypeError(f"there is no load '{said}'; there are {known}")
    return said


def _delay(said: str) -> int:
    """Microseconds of `2ms`."""
    number = said.removesuffix("ms")
    try:
        milliseconds = float(number) if number != said else -1.0
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds <= _LONGEST_DELAY_MS:
        raise argparse.ArgumentTypeError(
            f"'{said}' is no delay: write 2ms; {_LONGEST_DELAY_MS:.0f}ms is the longest"
        )
    return round(milliseconds * 1000)


def _cores(said: str) -> float:
    """A number of cores."""
    try:
        cores = float(said)
    except ValueError:
        cores = -1.0
    if not 0 <= cores <= _MOST_CORES:
        raise argparse.ArgumentTypeError(f"'{said}' is no number of cores, such as 0.1")
    return cores


def _check_peer(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Refuse what would make the comparison unfair."""
    if given.submitted is False:
        parser.error(f"--peer {given.peer}: its submission is always timed")
    if given.commit_delay is not None or W3_SLOW.name in given.loads:
        parser.error(f"--peer {given.peer}: only PostgreSQL's commits can be made slower")


def _read(parser: argparse.ArgumentParser, path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        report.as_text(found)
        picture.draw(found)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as err:
        parser.error(f"{path} is not what --json wrote: {err}")
    return found


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    loads = chosen(given)
    runs = given.runs or (QUICK_RUNS if given.quick else Options.runs)
    seconds = None if given.workflows else float(given.seconds)
    options = Options(
        concurrency=given.concurrency,
        runs=runs,
        seconds=seconds,
        is_submitted=bool(given.peer or given.over) if given.submitted is None else given.submitted,
        is_over_http=given.over == HTTP,
        peer=given.peer,
        others_cores=given.others,
    )
    with scratch() as folder:
        made, settings = compare(loads, options, folder, _say)
    setting = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "concurrency": options.concurrency,
        "runs": options.runs,
        "submission": "timed" if options.is_submitted else "not timed",
        "PostgreSQL": settings.pop("server_version"),
        **settings,
    }
    return report.as_data(made, setting)


def chosen(given: argparse.Namespace) -> list[Load]:
    """The loads that the options ask for, in their sizes."""
    # With all commits slower, the load that is nothing but that is there already; with a peer it
    # would slow us alone.
    is_slow_left_out = given.commit_delay is not None or given.peer
    default = [name for name in LOADS if name != W3_SLOW.name or not is_slow_left_out]
    loads = [LOADS[name] for name in dict.fromkeys(given.loads or default)]
    if given.quick:
        loads = [load.sized(QUICK[load.name]) for load in loads]
    if given.workflows:
        loads = [load.sized(given.workflows) for load in loads]
    if given.commit_delay is not None:
        loads = [load.slowed(given.commit_delay) for load in loads]
    return loads


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(main)
