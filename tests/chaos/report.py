"""A run in figures: what was counted, what each fault hit, how long recovery took. Pure."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.watch import Hit

Json = dict[str, Any]

LONG_RUN_MINUTES = 10.0
FEWEST_HITS = 20
RECOVERY = "all but dropped webhooks"
RECOVERY_MARGIN_SECONDS = 10.0
MOST_SHOWN = 12
NAMES = {
    "lost": "accepted, but lost",
    "stuck": "stuck",
    "doubled": "paid effects done twice",
    "not_undone": "failures not fully undone",
    "missing": "successes that lack an effect",
    "unexplained": "undone for no reason of its own",
    "starts": "starts lost or doubled",
    "limits": "begun beyond a limit",
    "untold": "ends told wrongly or not",
    "wrong_ends": "ended as they must not",
    "broken_chains": "chains that do not verify",
    "projections": "projections that differ",
    "budgets": "budgets that do not add up",
    "misbooked": "money booked otherwise than it moved",
}


@dataclass(frozen=True)
class Spread:
    """Seconds of recovery: how many, the median, the 99th percentile, the longest."""

    count: int
    p50: float
    p99: float
    longest: float


@dataclass
class Report:
    """All that a run has found; `findings` None means not checked."""

    seed: int
    workflows: int
    minutes: float
    findings: dict[str, list[str] | None] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    strikes: dict[str, int] = field(default_factory=dict)
    recovery: dict[str, Spread] = field(default_factory=dict)
    recovery_by_kind: dict[str, Spread] = field(default_factory=dict)
    strangers: dict[str, int] = field(default_factory=dict)
    submissions: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    attention: dict[str, int] = field(default_factory=dict)
    effects: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """Why the run itself is no proof."""

    @property
    def counts(self) -> dict[str, int | None]:
        """What must be 0."""
        return {
            name: None if self.findings.get(name) is None else len(self.findings[name] or [])
            for name in NAMES
        }

    @property
    def is_good(self) -> bool:
        """Whether all was checked, nothing was found, and the faults hit enough."""
        return all(count == 0 for count in self.counts.values()) and not self.faults

    def judge_hits(self) -> None:
        """In a long run, a kind that hit too little fails it."""
        if self.minutes < LONG_RUN_MINUTES:
            return
        for kind, count in self.hits.items():
            if count < FEWEST_HITS:
                self.faults.append(f"{kind} hit {count} running steps, fewer than {FEWEST_HITS}")

    def judge_recovery(self, lease_seconds: float) -> None:
        """In a long run, all but few steps go on within a lease and a little."""
        found = self.recovery.get(RECOVERY)
        most = lease_seconds + RECOVERY_MARGIN_SECONDS
        if self.minutes >= LONG_RUN_MINUTES and found is not None and found.p99 > most:
            self.faults.append(f"recovery took {found.p99:g} s (p99), more than {most:g}")

    def as_json(self) -> str:
        """Everything."""
        whole = asdict(self) | {"counts": self.counts, "is_good": self.is_good}
        return json.dumps(whole, indent=2, default=str)

    def as_text(self) -> str:
        """For people."""
        lines = [f"seed {self.seed}, {self.workflows} workflows in {self.minutes:g} minutes"]
        lines += _table("submissions", self.submissions) + _table("ended", self.ends)
        lines += _table("strangers", self.strangers)
        lines += _table("ask for a person", self.attention)
        lines += _table("effects in the vendors' books", self.effects)
        lines += ["", "must be 0:"]
        for name, count in self.counts.items():
            lines.append(f"  {NAMES[name]:<34}{'not checked' if count is None else count}")
            found = self.findings.get(name) or []
            lines += [f"    {each}" for each in found[:MOST_SHOWN]]
            lines += [f"    and {len(found) - MOST_SHOWN} more"] * (len(found) > MOST_SHOWN)
        lines += ["", f"{'running steps hit by':<26}{'times':>6}{'hits':>6}"]
        for kind, count in self.hits.items():
            lines.append(f"  {kind:<24}{self.strikes.get(kind, ''):>6}{count:>6}")
        lines += ["", f"{'recovery, seconds':<26}{'steps':>6}{'p50':>8}{'p99':>8}{'most':>8}"]
        lines += [_spread_line(name, each) for name, each in self.recovery.items()]
        lines += [_spread_line(f"  {name}", each) for name, each in self.recovery_by_kind.items()]
        lines += _table("seconds", {name: round(each, 1) for name, each in self.seconds.items()})
        lines += [f"NO PROOF: {fault}" for fault in self.faults]
        return "\n".join([*lines, "", "good" if self.is_good else "NOT GOOD"])


def spread(seconds: Sequence[float]) -> Spread | None:
    """The spread of some times; None of none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return Spread(
        len(ordered), round(statistics.median(ordered), 2), round(p99, 2), round(ordered[-1], 2)
    )


def recovery_of(hits: Iterable[Hit]) -> tuple[dict[str, list[float]], list[str]]:
    """Seconds of recovery by kind, and the hit steps that never moved again."""
    by_kind: dict[str, list[float]] = {}
    still: list[str] = []
    for hit in hits:
        seconds = hit.recovery_seconds
        if seconds is None:
            still.append(f"{hit.step.workflow} {hit.step.key}: not moved since {hit.kind}")
        else:
            by_kind.setdefault(hit.kind, []).append(seconds)
    return by_kind, still


def _table(title: str, figures: Mapping[str, float]) -> list[str]:
    if not figures:
        return []
    told = ", ".join(f"{name} {figure}" for name, figure in figures.items())
    return [f"{title}: {told}"]


def _spread_line(name: str, each: Spread) -> str:
    return f"  {name:<24}{each.count:>6}{each.p50:>8}{each.p99:>8}{each.longest:>8}"
