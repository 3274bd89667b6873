"""A rehearsal of starts says what PostgreSQL decides."""

import random
from typing import Any

import pytest

from app import db
from app.errors import TooMany
from chains.rehearsal import rehearse_starts
from chains.repair.reconcile import reconcile
from tests.integration.conftest import Kernel
from tests.integration.flow.gathering import push, set_clock
from tests.unit.definitions import noop

FLOWS: dict[str, dict[str, Any]] = {
    "first": {"debounce": {"period": "60s", "timeout": "150s", "keep": "first", "key": "input.k"}},
    "last": {"debounce": {"period": "60s", "keep": "last"}},
    "all": {"debounce": {"period": "60s", "timeout": "90s", "keep": "all", "key": "input.k"}},
    "batch": {"batch": {"size": 3, "timeout": "100s", "key": "input.k"}},
    "bytes": {"batch": {"size": 99, "bytes": 45, "timeout": "100s"}},
    "rate": {"rate_limit": {"limit": 3, "period": "400s", "key": "input.k"}},
}


DAILY = ("all", "rate")


@pytest.mark.parametrize(
    "name",
    [each if each in DAILY else pytest.param(each, marks=pytest.mark.long) for each in FLOWS],
)
def test_rehearsed_starts_are_those_of_the_server(kernel: Kernel, name: str) -> None:
    chance = random.Random(name)
    arrivals: list[tuple[float, dict[str, Any]]] = []
    at = 0.0
    for n in range(14):
        # Real time passes too, so nothing is decided within a few seconds.
        at += 30 * chance.randint(0, 3) + 7
        arrivals.append((at, {"k": chance.choice("ab"), "n": n}))
    body = {"name": "rehearsed", "do": noop("a"), "flow": FLOWS[name]}
    expected = rehearse_starts(body, arrivals)

    type = kernel.register(noop("a"), flow=FLOWS[name])
    began = db.row("SELECT playalter_now() AS at", ())
    refused = []
    for number, (at, given) in enumerate(arrivals):
        set_clock(at)
        reconcile()
        try:
            push(kernel, type, given)
        except TooMany:
            refused.append(number)
    set_clock(at + 1000)
    reconcile()
    assert began is not None
    rows = db.rows(
        "SELECT input, extract(epoch FROM coalesce(starts_at, started_at + offset_of.amount) - %s)"
        "::float AS after FROM workflows CROSS JOIN (SELECT amount FROM clock_offset) AS offset_of"
        " ORDER BY coalesce(starts_at, created_at), id",
        (began["at"],),
    )
    assert sorted(str(row["input"]) for row in rows) == sorted(
        str(each.input) for each in expected.begun
    )
    if name != "rate":
        after = {str(row["input"]): row["after"] for row in rows}
        for each in expected.begun:
            assert after[str(each.input)] == pytest.approx(each.after.total_seconds(), abs=5)
    assert refused == [each.arrival for each in expected.refused]
    assert len(expected.begun) > 2
