"""A comparison in figures: as data for JSON, as text, and as a Markdown table. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.bench.comparing.compare import Comparison
from tests.bench.comparing.loads import Unit
from tests.bench.comparing.measure import Run, percentile

Json = dict[str, Any]

SIDES = ("durable", "raw")
GROUPS = ("workers", "postgres", "valkey")
_MIB = 1024 * 1024


def as_data(comparisons: Sequence[Comparison], setting: Mapping[str, Any]) -> Json:
    """All of it: per load the medians of both sides, the ratios, and every run."""
    return {"setting": dict(setting), "loads": [_load(each) for each in comparisons]}


def _load(made: Comparison) -> Json:
    return {
        "name": made.load.name,
        "title": made.load.title,
        "unit": str(made.load.unit),
        "ratio": made.ratio,
        "ratios": made.ratios,
        "durable": _side(made.durable, made.load.unit),
        "raw": _side(made.raw, made.load.unit),
        "counted": {**asdict(made.counted), "is_whole": made.counted.is_whole},
    }


def _side(runs: Sequence[Run], unit: Unit) -> Json:
    def median(of: Callable[[Run], float]) -> float:
        return statistics.median(of(run) for run in runs)

    each = tuple(seconds for run in runs for seconds in run.each_seconds)
    return {
        "figure": median(lambda run: run.figure(unit)),
        "workflows_each_run": runs[0].workflows,
        "cpu_ms_per_step": median(lambda run: run.cpu_ms_per_step),
        "cpu_ms_per_step_by_group": {
            group: statistics.median(
                1000 * getattr(run, f"cpu_{group}") / run.steps for run in runs
            )
            for group in GROUPS
        },
        "cpu_ms_per_workflow": median(lambda run: run.cpu_ms_per_step * run.steps / run.workflows),
        "cpu_ms_per_workflow_of_producer": median(
            lambda run: 1000 * run.cpu_producer / run.workflows
        ),
        "commits_per_workflow": median(lambda run: run.commits / run.workflows),
        "wal_bytes_per_workflow": median(lambda run: run.wal_bytes / run.workflows),
        "messages_per_workflow": median(lambda run: run.messages / run.workflows),
        "worker_bytes": median(lambda run: run.worker_bytes),
        "ms": {f"p{n}": 1000 * percentile(each, n) for n in (50, 95, 99)}
        if unit is Unit.MILLISECONDS
        else None,
        "runs": [asdict(run) for run in runs],
    }


def is_whole(report: Json) -> bool:
    """Whether every step that was asked for has its row and its event."""
    return all(load["counted"]["is_whole"] for load in report["loads"])


def as_text(report: Json) -> str:
    """For a terminal: a table with a line for each side, then what stands behind it."""
    loads = report["loads"]
    lines = [_HEAD, *(_cells(load, side) for load in loads for side in SIDES)]
    setting = ", ".join(f"{name} {value}" for name, value in report["setting"].items())
    return "\n".join([*table(lines, words=2), "", *(_behind(load) for load in loads), "", setting])


_HEAD = (
    "load", "side", "figure", "ratio", "CPU ms/step", "workers", "postgres", "valkey",
    "messages/wf", "commits/wf", "WAL kB/wf", "producer ms/wf", "worker MiB",
)  # fmt: skip


def _cells(load: Json, side: str) -> tuple[str, ...]:
    of, is_ours = load[side], side == "durable"
    return (
        load["name"],
        side,
        shown(of["figure"], load["unit"]),
        f"{load['ratio']:.2f}" if is_ours else "",
        f"{of['cpu_ms_per_step']:.2f}",
        *(f"{of['cpu_ms_per_step_by_group'][group]:.2f}" for group in GROUPS),
        f"{of['messages_per_workflow']:,.1f}",
        f"{of['commits_per_workflow']:,.1f}" if is_ours else "",
        f"{of['wal_bytes_per_workflow'] / 1000:,.1f}" if is_ours else "",
        f"{of['cpu_ms_per_workflow_of_producer']:,.1f}",
        f"{of['worker_bytes'] / _MIB:.0f}",
    )


def table(lines: Sequence[tuple[str, ...]], words: int = 1) -> list[str]:
    """Lines of text in columns; the first `words` columns stand to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < words else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _behind(load: Json) -> str:
    ratios = ", ".join(f"{ratio:.2f}" for ratio in load["ratios"])
    sizes = " and ".join(f"{load[side]['workflows_each_run']:,}" for side in SIDES)
    found = load["counted"]
    said = [
        f"{load['title']}: {sizes} a run, ratios {ratios}",
        f"{found['steps']:,} of {found['expected']:,} steps recorded, {found['events']:,} events",
    ]
    for side in SIDES:
        if load[side]["ms"]:
            spread = ", ".join(f"{name} {ms:.1f}" for name, ms in load[side]["ms"].items())
            said.append(f"{side} {spread} ms")
    return "; ".join(said) + ("" if found["is_whole"] else ": NOT ALL IS RECORDED")


def as_markdown(report: Json) -> str:
    """The table of ops/SCALING.md."""
    head = "| load | Playalter | raw Celery | ratio | CPU ms a step | raw Celery's |"
    lines = [head, "|---|---|---|---|---|---|"]
    for load in report["loads"]:
        cells = [
            load["title"],
            *(shown(load[side]["figure"], load["unit"]) for side in SIDES),
            f"{load['ratio']:.2f}",
            *(f"{load[side]['cpu_ms_per_step']:.2f}" for side in SIDES),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(figure: float, unit: str) -> str:
    """A figure with its unit: three digits, or all before the point.

    >>> shown(1234.5, "steps/s"), shown(2.345, "s each"), shown(0.5, "s each")
    ('1,234 steps/s', '2.35 s each', '0.50 s each')
    """
    digits = 0 if figure >= 100 else 1 if figure >= 10 else 2
    return f"{figure:,.{digits}f} {unit}"
