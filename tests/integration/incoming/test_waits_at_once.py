"""Waits and their events that are committed at the same instant: each finds its own."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from app import db
from app.settings import Settings
from chains.incoming import intake
from chains.incoming.events import Incoming
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import run

THREADS = 16
KEYED = "event.data.n == input.n"
KEYLESS = "to_string(event.data.n) == to_string(input.n)"


def commits(kernel: Kernel, workflows: list[Any]) -> list[Callable[[], Any]]:
    """For each workflow two neighbours in either order: its wait commits, and its event."""
    chance = random.Random(7)
    made: list[Callable[[], Any]] = []
    for number, workflow in enumerate(workflows):
        event = Incoming("shop", str(number), f"order.{number % 5}", {"n": number})
        pair: list[Callable[[], Any]] = [
            lambda workflow=workflow: run(workflow, "w", "control.event"),  # type: ignore[misc]
            lambda event=event: intake.accept(kernel.user_id, [event]),  # type: ignore[misc]
        ]
        chance.shuffle(pair)
        made += pair
    return made


def in_turn(work: list[Callable[[], Any]]) -> Callable[[], None]:
    """A function that does what is left, one after the other, in however many threads it runs."""
    left, lock = iter(work), threading.Lock()

    def go() -> None:
        while True:
            with lock:
                each = next(left, None)
            if each is None:
                return
            each()

    return go


@pytest.mark.parametrize(
    ("count", "condition"),
    [
        (60, KEYED),
        (60, KEYLESS),
        pytest.param(10_000, KEYED, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_no_wait_and_no_event_of_the_same_instant_is_lost(
    kernel: Kernel, settings: Settings, in_threads: Threads, count: int, condition: str
) -> None:
    event = {"type": "order.*", "filter": condition, "within_last": "1h"}
    name = kernel.register({"wait": "w", "event": event})
    workflows = [kernel.start(name, {"n": number}) for number in range(count)]
    in_threads([in_turn(commits(kernel, workflows))] * THREADS)
    rows = db.rows(
        "SELECT w.input ->> 'n' AS n, e.source_id AS taken, s.status"
        " FROM workflows AS w JOIN steps AS s ON s.workflow_id = w.id"
        " LEFT JOIN event_waits AS v ON v.workflow_id = w.id"
        " LEFT JOIN incoming_events AS e ON e.id = v.event_id",
        (),
    )
    assert len(rows) == count
    lost = [row for row in rows if (row["taken"], row["status"]) != (row["n"], "pending")]
    assert lost == []  # not even until the reconciler looks
    left = "SELECT FROM incoming_events WHERE matched_at IS NULL OR wakes_at IS NOT NULL"
    assert db.rows(left, ()) == []
