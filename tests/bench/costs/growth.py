"""What a database full of workflows costs those that run: flat, or not.

Two databases on one server, each with a worker of its own: one stays as good as empty, the other
is filled to each size of `--finished` in turn, and then with `--waiting` ones. All belong to one
user, who then asks for lists. At each size both run W1 and one workflow alone in alternating order
(ABBA); a ratio is of two runs that followed one another, and above 1 where the full database was
the faster, or needed less. Filled is by copies of real workflows (`filling.py`); VACUUM and
CHECKPOINT follow, so the first run writes every page whole that it touches: the WAL's worst case.
The first size should be 0: its ratios show what the machine's own unrest makes of equals.
"""

import argparse
import contextlib
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.comparing.loads import ALONE, W1
from tests.bench.comparing.measure import Run
from tests.bench.comparing.report import table
from tests.bench.costs.growing import Side, side
from tests.bench.machine.processes import log_told
from tests.bench.machine.servers import servers, settings
from tests.bench.options import positive, run, scratch, takes_json, tell

Json = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How many copies a database holds."""

    finished: int
    waiting: int


@dataclass(frozen=True)
class Options:
    """How W1 and one alone are run at each size."""

    runs: int = 5
    workflows: int = 300
    alone: int = 50
    concurrency: int = 4


def compare(sizes: Sequence[Size], options: Options, folder: Path) -> Json:
    """Every size in turn; the figures."""
    log = folder / "worker.log"
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(servers(folder))
        stack.enter_context(log_told(log))
        empty, full = (
            stack.enter_context(side(started, name, number, options.concurrency, log))
            for number, name in enumerate(("empty_test", "full_test"), start=1)
        )
        _warm((empty, full), options)
        made, before = [], Size(0, 0)
        for size in sizes:
            added = Size(size.finished - before.finished, size.waiting - before.waiting)
            seconds = full.fill(added.finished, added.waiting)
            before = size
            made.append({**_at(size, empty, full, options), "filled_in_seconds": seconds})
            ratio = made[-1]["w1"]["ratio"]
            print(f"{size}: W1 {ratio:.2f} of empty", file=sys.stderr, flush=True)
        return {"sizes": made, "setting": settings()}


def _warm(sides: Sequence[Side], options: Options) -> None:
    for each in sides:
        each.run(W1.sized(max(20, options.workflows // 5)))
        each.run(ALONE.sized(5))


def _at(size: Size, empty: Side, full: Side, options: Options) -> Json:
    loads = {"w1": W1.sized(options.workflows), "alone": ALONE.sized(options.alone)}
    runs: dict[str, list[tuple[Run, Run]]] = {name: [] for name in loads}
    for number in range(options.runs):
        for name, load in loads.items():
            if number % 2 == 0:
                first = empty.run(load)
                runs[name].append((first, full.run(load)))
            else:
                second = full.run(load)
                runs[name].append((empty.run(load), second))
    return {
        "finished": size.finished,
        "waiting": size.waiting,
        "w1": compared([(a.steps / a.seconds, b.steps / b.seconds) for a, b in runs["w1"]]),
        "cpu_ms_per_step": compared(
            [(a.cpu_ms_per_step, b.cpu_ms_per_step) for a, b in runs["w1"]], is_time=True
        ),
        "alone_ms": compared(
            [(a.figure(ALONE.unit), b.figure(ALONE.unit)) for a, b in runs["alone"]],
            is_time=True,
        ),
        "wal_bytes": compared(
            [(a.wal_bytes / a.workflows, b.wal_bytes / b.workflows) for a, b in runs["w1"]],
            is_time=True,
        ),
        "questions_ms": full.ask(),
        "reconciler_ms": full.reconcile(),
        "questions_ms_of_empty": empty.ask(),
        "reconciler_ms_of_empty": empty.reconcile(),
    }


def compared(pairs: Sequence[tuple[float, float]], *, is_time: bool = False) -> Json:
    """Medians of (empty, full) figures and of their ratios; `is_time`: fewer are better. Pure."""
    empty, full = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratios = [_ratio(b, a) if is_time else _ratio(a, b) for a, b in pairs]
    return {"empty": empty, "full": full, "ratio": statistics.median(ratios), "ratios": ratios}


def _ratio(base: float, other: float) -> float:
    # A run that is too short for the kernel's clock ticks has cost nothing that can be told.
    return other / base if base else 1.0


def sizes_of(finished: Sequence[int], waiting: int) -> list[Size]:
    """The sizes in their order: finished ones alone, at last with those that wait. Pure."""
    rising = sorted(set(finished))
    made = [Size(number, 0) for number in rising]
    return [*made, Size(rising[-1], waiting)] if waiting else made


def as_text(found: Json) -> str:
    """For a terminal: a line for each figure, a column for each size."""
    sizes = found["sizes"]
    lines: list[tuple[str, ...]] = [
        ("finished", *(f"{of['finished']:,}" for of in sizes)),
        ("waiting", *(f"{of['waiting']:,}" for of in sizes)),
        ("filled in seconds", *(f"{of['filled_in_seconds']:,.0f}" for of in sizes)),
    ]
    for title, name, digits in (
        ("W1 steps/s", "w1", 0),
        ("W1 CPU ms/step", "cpu_ms_per_step", 2),
        ("W1 WAL bytes/workflow", "wal_bytes", 0),
        ("alone ms, p50", "alone_ms", 1),
    ):
        lines.append((title, *(f"{of[name]['full']:,.{digits}f}" for of in sizes)))
        lines.append((
            "  beside empty, ratio",
            *(f"{of[name]['empty']:,.{digits}f}, {of[name]['ratio']:.2f}" for of in sizes),
        ))  # fmt: skip
    for title, name in (("", "questions_ms"), ("reconciler, ", "reconciler_ms")):
        for row in dict.fromkeys(row for of in sizes for row in of[name]):
            cells = [of[name].get(row) for of in sizes]
            lines.append((f"{title}{row}: p50 / p99 ms", *(_spread(cell) for cell in cells)))
    setting = ", ".join(f"{name} {value}" for name, value in found["setting"].items())
    return "\n".join([*table(lines), "", setting])


def _spread(cell: Json | None) -> str:
    return "" if cell is None else f"{cell['p50']:,.1f} / {cell['p99']:,.1f}"


def numbers(said: str) -> list[int]:
    """An option's whole numbers with commas.

    >>> numbers("0,100000")
    [0, 100000]
    """
    parts = said.split(",")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"'{said}' is no list of whole numbers: write 0,100000")
    return [int(part) for part in parts]


def number(said: str) -> int:
    """An option's whole number, 0 included."""
    (only,) = numbers(said)
    return only


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        prog="ops/bench growth", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--finished", type=numbers, default=[0, 100_000, 1_000_000])
    parser.add_argument("--waiting", type=number, default=100_000)
    parser.add_argument("--runs", type=positive, default=Options.runs, help="pairs a size (5)")
    parser.add_argument("--workflows", type=positive, default=Options.workflows, help="a run (300)")
    parser.add_argument("--alone", type=positive, default=Options.alone, help="a run (50)")
    parser.add_argument("--concurrency", type=positive, default=Options.concurrency)
    takes_json(parser)
    given = parser.parse_args()
    options = Options(given.runs, given.workflows, given.alone, given.concurrency)
    with scratch() as folder:
        found = compare(sizes_of(given.finished, given.waiting), options, folder)
    tell(found, as_text(found), given.json)


if __name__ == "__main__":
    run(main)
