"""A system that runs already, over HTTP alone: how fast it takes workflows, how fast it ends them.

`--workflows` chains of three no-op steps (`--type`, `--input` for others) are submitted by
`--clients` at once, each with an Idempotency-Key of its own. What a submission takes is by the
client's clock. How many workflows end in a second counts from the first one's start to the last
one's end, how long one alone takes from its start to its end: both by the system's own clock, so
that how often this asks makes no difference. Nothing is undone: what was started stays listed.
"""

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.cli.remote.api import TERMINAL, Api, CannotReach, Json, Refused
from tests.bench.comparing.measure import percentile
from tests.bench.comparing.report import table
from tests.bench.options import positive, run, takes_json, tell

_BETWEEN_LOOKS_SECONDS = 0.2
_MOST_WORKFLOWS = 100_000


class NotEnded(Exception):
    """Not all workflows have ended within the patience."""


@dataclass(frozen=True)
class Plan:
    """What is started, and how."""

    type: str
    input: Json
    workflows: int
    clients: int
    alone: int
    patience_seconds: float


def measure(api: Api, plan: Plan) -> Json:
    """All figures; raises CannotReach, Refused and NotEnded."""
    mark = f"bench-{uuid.uuid4()}"
    # One before, so that no figure holds what is made at first use.
    _ended(api, [_start(api, plan, f"{mark}-warm")[0]], plan.patience_seconds)
    began = time.monotonic()
    with ThreadPoolExecutor(plan.clients) as pool:
        keys = [f"{mark}-{number}" for number in range(plan.workflows)]
        started = list(pool.map(lambda key: _start(api, plan, key), keys))
    took = time.monotonic() - began
    rows = _ended(api, [id for id, _ in started], plan.patience_seconds)
    single = []
    for number in range(plan.alone):
        id, _ = _start(api, plan, f"{mark}-alone-{number}")
        single += _ended(api, [id], plan.patience_seconds)
    return figures(plan, took, [seconds for _, seconds in started], rows, single)


def figures(
    plan: Plan, took: float, asked: Sequence[float], rows: Sequence[Json], single: Sequence[Json]
) -> Json:
    """What the times come to, `took` and `asked` in seconds. Pure."""
    span = max(_time(row, "completed_at") for row in rows) - min(
        _time(row, "created_at") for row in rows
    )
    lives = tuple(1000 * (_time(r, "completed_at") - _time(r, "created_at")) for r in single)
    steps = sum(len(row["steps"]) for row in rows)
    asked_ms = tuple(1000 * each for each in asked)
    return {
        "type": plan.type,
        "workflows": len(rows),
        "clients": plan.clients,
        "succeeded": sum(row["status"] == "succeeded" for row in [*rows, *single]),
        "not_succeeded": sum(row["status"] != "succeeded" for row in [*rows, *single]),
        "submission": {"per_second": len(asked) / took, "ms": _spread(asked_ms)},
        "ended": {"workflows_per_second": len(rows) / span, "steps_per_second": steps / span},
        "one_alone_ms": _spread(lives),
    }


def as_text(found: Json) -> str:
    """The figures for people."""
    asked, ended = found["submission"], found["ended"]
    lines = [
        ("what", "a second", "p50 ms", "p95 ms", "p99 ms"),
        ("submissions", f"{asked['per_second']:,.0f}", *_words(asked["ms"])),
        ("workflows ended", f"{ended['workflows_per_second']:,.0f}", "", "", ""),
        ("steps ended", f"{ended['steps_per_second']:,.0f}", "", "", ""),
        ("one alone", "", *_words(found["one_alone_ms"])),
    ]
    said = f"{found['workflows']:,} workflows of type {found['type']}, {found['clients']} clients"
    wrong = found["not_succeeded"]
    return "\n".join([said, *table(lines), *([f"{wrong} DID NOT SUCCEED"] if wrong else [])])


def _words(spread: Json) -> tuple[str, ...]:
    return tuple(f"{spread[name]:.1f}" for name in ("p50", "p95", "p99"))


def _spread(ms: tuple[float, ...]) -> Json:
    return {f"p{percent}": percentile(ms, percent) for percent in (50, 95, 99)}


def _time(row: Json, name: str) -> float:
    return datetime.fromisoformat(row[name]).timestamp()


def _start(api: Api, plan: Plan, key: str) -> tuple[str, float]:
    began = time.monotonic()
    made = api.start(plan.type, plan.input, key)
    return str(made["id"]), time.monotonic() - began


def _ended(api: Api, ids: list[str], patience_seconds: float) -> list[Json]:
    """The workflows once they have ended."""
    until = time.monotonic() + patience_seconds
    rows: list[Json] = []
    for id in ids:
        while (row := api.workflow(id))["status"] not in TERMINAL:
            if time.monotonic() > until:
                left = len(ids) - len(rows)
                raise NotEnded(
                    f"{left} of {len(ids)} workflows have not ended after {patience_seconds:g} s"
                    f" (the first is {id}, {row['status']}); --patience waits longer"
                )
            time.sleep(_BETWEEN_LOOKS_SECONDS)
        rows.append(row)
    return rows


def _object(said: str) -> Json:
    try:
        found: Any = json.loads(said)
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"'{said}' is not JSON: {err}") from err
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"'{said}' is no JSON object")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ops/bench running", description=__doc__)
    parser.add_argument("--url", default=os.environ.get("PLAYALTER_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--type", default="noop_chain", help="of the workflows (noop_chain)")
    parser.add_argument("--input", type=_object, default={}, help="theirs, a JSON object ({})")
    parser.add_argument("--workflows", type=positive, default=1000, help="how many (1000)")
    parser.add_argument("--clients", type=positive, default=8, help="at once (8)")
    parser.add_argument("--alone", type=positive, default=30, help="one after the other (30)")
    parser.add_argument("--patience", type=positive, default=300, help="seconds to wait (300)")
    takes_json(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Measure and report; 0 only if every workflow has succeeded."""
    parser = _parser()
    given = parser.parse_args(arguments)
    key = os.environ.get("PLAYALTER_API_KEY")
    if not key:
        parser.error("PLAYALTER_API_KEY is not set: the key to use the system with")
    if given.workflows > _MOST_WORKFLOWS:
        parser.error(f"--workflows {given.workflows}: {_MOST_WORKFLOWS} at the most")
    plan = Plan(
        given.type, given.input, given.workflows, given.clients, given.alone, given.patience
    )
    try:
        found = measure(Api(given.url.rstrip("/"), key), plan)
    except (CannotReach, Refused, NotEnded) as err:
        print(f"ops/bench running: {err}", file=sys.stderr)
        return 1
    tell(found, as_text(found), given.json)
    return 1 if found["not_succeeded"] else 0


if __name__ == "__main__":
    run(main)
