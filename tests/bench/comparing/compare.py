"""The comparison: every load on every side, in alternating rounds."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chains.catalogue import versions
from tests.bench.comparing.arena import Arena, Options, arena
from tests.bench.comparing.loads import Load
from tests.bench.comparing.measure import Meter, Run
from tests.bench.comparing.sides import Recorded, Side
from tests.bench.machine.servers import commit_delay, settings

_WARM_PART = 20
_WARM_SECONDS = 1.0
"""What the last warm-up takes at the least, if it is to say that a load is too large: in less, most
of W4's time is that of its first and last answers, and its rate seems a third of what it is."""
_MOST_ROUNDS = 2
"""So many times as many rounds as were asked for, if others disturb them."""
Progress = Callable[[str], None]
Round = Mapping[str, Run]
"""A run of every side, by its name."""


@dataclass(frozen=True)
class Counted:
    """What a side has recorded of a load, and what it should have."""

    expected: Recorded
    found: Recorded

    @property
    def is_whole(self) -> bool:
        """Whether every workflow has succeeded, and every step has its row and its event."""
        return self.expected == self.found


@dataclass(frozen=True)
class Rounds:
    """The rounds of a load: those that count, and those in which others had too much of the CPU."""

    kept: tuple[Round, ...]
    thrown: tuple[Round, ...] = ()

    @property
    def is_disturbed(self) -> bool:
        """Whether no round was quiet: then all were kept, and say little."""
        return not self.kept

    @property
    def counting(self) -> tuple[Round, ...]:
        """The rounds that the figures are of."""
        return self.kept or self.thrown

    @property
    def others_cores(self) -> float:
        """The most that others had in a run that counts."""
        return max(run.others_cores for made in self.counting for run in made.values())


@dataclass(frozen=True)
class Comparison:
    """One load on every side."""

    load: Load
    rounds: Rounds
    counted: Mapping[str, Counted] = field(default_factory=dict)
    """By the names of the sides that record."""

    @property
    def sides(self) -> list[str]:
        """Their names, in the order in which they ran."""
        return list(self.rounds.counting[0])

    def runs(self, side: str) -> list[Run]:
        """The runs of a side that count."""
        return [made[side] for made in self.rounds.counting]

    def ratios(self, side: str, to: str) -> list[float]:
        """Of each round: how many times as fast one side was as another."""
        unit = self.load.unit
        pairs = [
            (ours.figure(unit), theirs.figure(unit))
            for ours, theirs in zip(self.runs(side), self.runs(to), strict=True)
        ]
        return [b / a if unit.is_time else a / b for a, b in pairs]

    def ratio(self, side: str, to: str) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios(side, to))


def compare(
    loads: Sequence[Load], options: Options, folder: Path, say: Progress
) -> tuple[list[Comparison], dict[str, str]]:
    """Run every load; the comparisons, and the settings that the servers ran under."""
    with arena(options, folder, say) as place:
        made = [_load(place, load, options, say) for load in loads]
        return made, {**settings(), **place.setting}


def _load(place: Arena, load: Load, options: Options, say: Progress) -> Comparison:
    versions.register(load.body, activates=True)
    before = {side.name: side.recorded(load) for side in place.sides}
    done: Counter[str] = Counter()
    with commit_delay(load.commit_delay_microseconds):
        sizes = _sizes(place, load, options, done)
        rounds = _rounds(place, sizes, options, done, say)
    counted = {
        side.name: Counted(_expected(side, load, done[side.name]), found.minus(was))
        for side in place.sides
        if (found := side.recorded(load)) and (was := before[side.name])
    }
    return Comparison(load, rounds, counted)


def _expected(side: Side, load: Load, workflows: int) -> Recorded:
    steps = workflows * side.steps_of(load)
    return Recorded(workflows, steps, steps)


def _sizes(place: Arena, load: Load, options: Options, done: Counter[str]) -> dict[str, Load]:
    """The load in each side's size. It runs once for what is made at first use, the worker itself
    at the first load; then to size it."""
    warm = {}
    for side in place.sides:
        place.meter.run(side, load.sized(1))
    for side in place.sides:
        runs = _warmed(place.meter, side, load, options.seconds)
        done[side.name] += 1 + sum(run.workflows for run in runs)
        warm[side.name] = sized(load, runs[-1], options.seconds)
    return warm


def _rounds(
    place: Arena, sizes: Mapping[str, Load], options: Options, done: Counter[str], say: Progress
) -> Rounds:
    def made() -> Round:
        runs = {side.name: place.meter.run(side, sizes[side.name]) for side in place.sides}
        done.update({name: run.workflows for name, run in runs.items()})
        return runs

    load = sizes[place.sides[0].name]
    return repeated(made, load, options.runs, options.others_cores, say)


def repeated(
    made: Callable[[], Round], load: Load, runs: int, others_cores: float, say: Progress
) -> Rounds:
    """As many rounds as were asked for in which others had no more of the CPU; not for ever."""
    kept: list[Round] = []
    thrown: list[Round] = []
    while len(kept) < runs and len(kept) + len(thrown) < _MOST_ROUNDS * runs:
        each = made()
        others = max(run.others_cores for run in each.values())
        is_quiet = others <= others_cores
        (kept if is_quiet else thrown).append(each)
        figures = ", ".join(f"{run.figure(load.unit):.1f} {name}" for name, run in each.items())
        said = "" if is_quiet else "; thrown away"
        say(
            f"{load.name} {len(kept)}/{runs}: {figures} {load.unit};"
            f" others had {others:.2f} cores{said}"
        )
    return Rounds(tuple(kept), tuple(thrown))


def _warmed(meter: Meter, side: Side, load: Load, seconds: float | None) -> list[Run]:
    """Runs of growing size, the last of which tells how many workflows fit."""
    workflows = max(1, load.workflows // _WARM_PART)
    runs = [meter.run(side, load.sized(workflows))]
    while (
        runs[-1].seconds < _WARM_SECONDS
        and workflows < load.workflows
        and sized(load, runs[-1], seconds) != load
    ):
        workflows = min(load.workflows, 4 * workflows)
        runs.append(meter.run(side, load.sized(workflows)))
    return runs


def sized(load: Load, warm: Run, seconds: float | None) -> Load:
    """The load with as many workflows as fit into `seconds` at the rate of the warm-up."""
    if seconds is None or load.unit.is_time:
        return load
    fitting = int(seconds * warm.workflows / warm.seconds)
    return load.sized(max(1, min(load.workflows, fitting)))
