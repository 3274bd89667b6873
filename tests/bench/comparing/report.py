"""A comparison in figures: as data for JSON, as text, and as a Markdown table. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.bench.comparing.compare import Comparison
from tests.bench.comparing.loads import Unit
from tests.bench.comparing.measure import Run, percentile

Json = dict[str, Any]

OURS = ("durable", "http")
PEERS = ("raw", "restate")
NAMES = {
    "durable": "Playalter",
    "http": "over HTTP",
    "raw": "raw Celery",
    "restate": "Restate",
}
"""How people call the sides; in the order of the report."""
GROUPS = ("workers", "servers", "postgres", "valkey")
_MIB = 1024 * 1024
_JOINT = " · "


def as_data(comparisons: Sequence[Comparison], setting: Mapping[str, Any]) -> Json:
    """All of it: per load the medians of all sides, the ratios, and every run."""
    return {"setting": dict(setting), "loads": [_load(each) for each in comparisons]}


def _load(made: Comparison) -> Json:
    unit = made.load.unit
    return {
        "name": made.load.name,
        "title": made.load.title,
        "unit": str(unit),
        "sides": {side: _side(made.runs(side), unit) for side in made.sides},
        "ratios": {
            peer: {
                side: {"ratio": made.ratio(side, peer), "each": made.ratios(side, peer)}
                for side in made.sides
                if side != peer and (peer == PEERS[0] or side in OURS)
            }
            for peer in PEERS
            if peer in made.sides
        },
        "rounds": {
            "counting": len(made.rounds.counting),
            "thrown_away": len(made.rounds.thrown) if made.rounds.kept else 0,
            "others_cores": made.rounds.others_cores,
            "is_disturbed": made.rounds.is_disturbed,
        },
        "counted": {
            side: {**asdict(counted), "is_whole": counted.is_whole}
            for side, counted in made.counted.items()
        },
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
            group: statistics.median(1000 * run.cpu.get(group, 0.0) / run.steps for run in runs)
            for group in GROUPS
        },
        "cpu_ms_per_workflow": median(lambda run: run.cpu_ms_per_step * run.steps / run.workflows),
        "cpu_ms_per_workflow_of_producer": median(
            lambda run: 1000 * run.cpu_producer / run.workflows
        ),
        "others_cores": max(run.others_cores for run in runs),
        "submission_share": median(lambda run: run.submission_seconds / run.seconds),
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
    """Whether every side that records has recorded all workflows, steps and events."""
    return all(each["is_whole"] for load in report["loads"] for each in load["counted"].values())


def sides_of(report: Json) -> list[str]:
    """The sides that were compared."""
    return [side for side in NAMES if side in report["loads"][0]["sides"]]


def as_text(report: Json) -> str:
    """For a terminal: a table with a line for each side, then what stands behind it."""
    loads, peers = report["loads"], [peer for peer in PEERS if peer in sides_of(report)]
    lines = [_head(peers)]
    lines += [_cells(load, side, peers) for load in loads for side in sides_of(report)]
    return "\n".join(
        [*table(lines, words=2), "", *(_behind(load) for load in loads), "", _setting(report)]
    )


def _head(peers: Sequence[str]) -> tuple[str, ...]:
    ratios = ("ratio" if peer == PEERS[0] else f"to {peer}" for peer in peers)
    return (
        "load", "side", "figure", *ratios, "CPU ms/step", *GROUPS, "others",
        "messages/wf", "commits/wf", "WAL kB/wf", "producer ms/wf", "worker MiB",
    )  # fmt: skip


def _cells(load: Json, side: str, peers: Sequence[str]) -> tuple[str, ...]:
    of, is_ours = load["sides"][side], side in OURS
    ratios = (load["ratios"][peer].get(side) for peer in peers)
    return (
        load["name"],
        side,
        shown(of["figure"], load["unit"]),
        *(f"{each['ratio']:.2f}" if each else "" for each in ratios),
        f"{of['cpu_ms_per_step']:.2f}",
        *(f"{of['cpu_ms_per_step_by_group'][group]:.2f}" for group in GROUPS),
        f"{of['others_cores']:.2f}",
        f"{of['messages_per_workflow']:,.1f}" if side != "restate" else "",
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
    """The sizes, the ratios and the audit of a load."""
    sizes = ", ".join(f"{of['workflows_each_run']:,} {side}" for side, of in load["sides"].items())
    said = [f"{load['title']}: {sizes} a run"]
    for peer, ratios in load["ratios"].items():
        for side, found in ratios.items():
            each = ", ".join(f"{ratio:.2f}" for ratio in found["each"])
            said.append(f"{side} to {peer} {each}")
    for side, of in load["sides"].items():
        if of["ms"]:
            spread = ", ".join(f"{name} {ms:.1f}" for name, ms in of["ms"].items())
            said.append(f"{side} {spread} ms")
    said += [_rounds(load["rounds"]), *(_audit(*each) for each in load["counted"].items())]
    return "\n  ".join(said)


def _rounds(rounds: Json) -> str:
    if rounds["is_disturbed"]:
        return (
            f"NO QUIET ROUND: others had up to {rounds['others_cores']:.2f} cores in these"
            f" {rounds['counting']} rounds; measure on an idle machine"
        )
    return (
        f"others had at most {rounds['others_cores']:.2f} cores; rounds: {rounds['counting']}"
        f" counting, {rounds['thrown_away']} thrown away"
    )


def _audit(side: str, counted: Json) -> str:
    found, expected = counted["found"], counted["expected"]
    parts = [f"{found[what]:,} of {expected[what]:,} {what}" for what in found]
    return f"{side} has recorded {', '.join(parts)}" + (
        "" if counted["is_whole"] else ": NOT ALL IS RECORDED"
    )


def _setting(report: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in report["setting"].items())


def as_markdown(report: Json) -> str:
    """The table of ops/SCALING.md. With more sides than ours and raw Celery, figures that belong
    together share a cell, in the order of the sides, and the settings stand below."""
    sides = sides_of(report)
    if sides == ["durable", "raw"]:
        head = ["load", "Playalter", "raw Celery", "ratio", "CPU ms a step", "raw Celery's"]
        return "\n".join(_markdown([head, *(_plain(load, sides) for load in report["loads"])]))
    peers = [peer for peer in PEERS if peer in sides]
    head = ["load", *(NAMES[side] for side in sides)]
    head += [*(f"times {NAMES[peer]}" for peer in peers), "CPU ms a step of each"]
    lines = _markdown([head, *(_shared(load, sides, peers) for load in report["loads"])])
    return "\n".join([*lines, "", f"{_setting(report)}."])


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return [head, f"|{'---|' * len(rows[0])}", *lines]


def _plain(load: Json, sides: Sequence[str]) -> list[str]:
    return [*_figures(load, sides), f"{load['ratios']['raw']['durable']['ratio']:.2f}",
            *_cpu(load, sides)]  # fmt: skip


def _shared(load: Json, sides: Sequence[str], peers: Sequence[str]) -> list[str]:
    ratios = (
        _JOINT.join(f"{load['ratios'][peer][side]['ratio']:.2f}" for side in sides if side in OURS)
        for peer in peers
    )
    return [*_figures(load, sides), *ratios, _JOINT.join(_cpu(load, sides))]


def _figures(load: Json, sides: Sequence[str]) -> list[str]:
    return [load["title"], *(shown(load["sides"][s]["figure"], load["unit"]) for s in sides)]


def _cpu(load: Json, sides: Sequence[str]) -> list[str]:
    return [f"{load['sides'][side]['cpu_ms_per_step']:.2f}" for side in sides]


def shown(figure: float, unit: str) -> str:
    """A figure with its unit: three digits, or all before the point.

    >>> shown(1234.5, "steps/s"), shown(2.345, "s each"), shown(0.5, "s each")
    ('1,234 steps/s', '2.35 s each', '0.50 s each')
    """
    digits = 0 if figure >= 100 else 1 if figure >= 10 else 2
    return f"{figure:,.{digits}f} {unit}"
