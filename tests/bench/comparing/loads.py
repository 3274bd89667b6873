"""What is measured: each load as a definition for us, and as the name of what others run for it.

All do the same steps in the same order, and pass on the same values; `steps` counts those that all
have.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from app.platform import Json
from chains.language.dsl import definition, map_over, parallel, ref, sequence, step

FAN_OUT = 10
WIDE = 1000
_KEYS = ("first", "second", "third")


class Unit(StrEnum):
    """What a load's figure says; of seconds and milliseconds, fewer are better, and a workflow is
    submitted when the one before has ended."""

    STEPS = "steps/s"
    WORKFLOWS = "workflows/s"
    SECONDS = "s each"
    MILLISECONDS = "ms, p50"

    @property
    def is_time(self) -> bool:
        """Whether a smaller figure is the better one."""
        return self in {Unit.SECONDS, Unit.MILLISECONDS}


@dataclass(frozen=True)
class Load:
    """One kind of workflow, and how many of them a run is at most."""

    name: str
    title: str
    unit: Unit
    body: Json
    canvas: str
    """The name of its canvas in comparing/raw.py and of its handler in restate/handlers.py; both
    take `width`."""
    steps: int
    """A workflow's steps, joins included, as all sides count them."""
    rows: int
    """A workflow's rows: with those that only we have, such as the one that expands a map."""
    workflows: int
    width: int = 0
    input: Callable[[], Json] = field(default=dict)
    commit_delay_microseconds: int = 0

    def slowed(self, microseconds: int) -> "Load":
        """The same load with every commit made so much slower."""
        title = f"{self.title.partition(', commits')[0]}, commits +{microseconds / 1000:g} ms"
        return replace(self, title=title, commit_delay_microseconds=microseconds)

    def sized(self, workflows: int) -> "Load":
        """The same load with so many workflows a run."""
        return replace(self, workflows=workflows)


def _three(name: str, action: str) -> dict[str, Any]:
    """Three steps, each with what the one before has returned."""
    reads = ("input.x", *(f"steps.{key}.output.x" for key in _KEYS))
    steps = (step(key, action, {"x": ref(x)}) for key, x in zip(_KEYS, reads, strict=False))
    return definition(name, sequence(*steps))


def _zero() -> Json:
    return {"x": 0}


W1 = Load(
    name="w1",
    title="W1: three no-op steps",
    unit=Unit.STEPS,
    body=_three("bench_three", "control.noop"),
    canvas="three",
    steps=3,
    rows=3,
    workflows=2000,
    input=_zero,
)
W1I = replace(
    W1,
    name="w1i",
    title="W1i: three steps, an intent each",
    body=_three("bench_intents", "bench.once"),
)
W2 = Load(
    name="w2",
    title=f"W2: {FAN_OUT} steps, join",
    unit=Unit.STEPS,
    body=definition(
        "bench_fan_out",
        parallel("all", *(step(f"part{n}", "control.noop", {"x": n}) for n in range(FAN_OUT))),
    ),
    canvas="fan_out",
    width=FAN_OUT,
    steps=FAN_OUT + 1,
    rows=FAN_OUT + 1,
    workflows=200,
)
W3 = Load(
    name="w3",
    title=f"W3: {WIDE:,} steps, join",
    unit=Unit.SECONDS,
    body=definition(
        "bench_wide",
        map_over(
            "each",
            ref("input.items"),
            step("leaf", "control.noop", {"x": ref("item")}),
            max_concurrency=WIDE,
        ),
    ),
    canvas="fan_out",
    width=WIDE,
    steps=WIDE + 1,
    rows=WIDE + 2,
    workflows=1,
    input=lambda: {"items": list(range(WIDE))},
)
W3_SLOW = replace(W3.slowed(2000), name="w3slow")
W4 = Load(
    name="w4",
    title="W4: three slow HTTP calls of 100 ms",
    unit=Unit.WORKFLOWS,
    body=_three("bench_calls", "calls.wait"),
    canvas="calls",
    steps=3,
    rows=3,
    workflows=1000,
    input=_zero,
)
ALONE = replace(
    W1, name="alone", title="One alone: three no-op steps", unit=Unit.MILLISECONDS, workflows=100
)

LOADS = {load.name: load for load in (W1, W1I, W2, W3, W3_SLOW, W4, ALONE)}
QUICK = {"w1": 100, "w1i": 100, "w2": 20, "w3": 1, "w3slow": 1, "w4": 40, "alone": 30}
"""Workflows a run with --quick."""
