"""Rebuild: rows that agree with their events show no difference, and all other rows do."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.engine.attempt import execute
from app.engine.outcome_writer import record
from app.errors import Conflict
from app.platform import Delivery
from app.protocol import outcomes
from app.protocol.claims import Claim, claim_step
from app.protocol.outcomes import Finish
from app.record.verification import Tally
from chains.actions import actions
from chains.commands.accept_delivery import accept_delivery
from chains.repair.rebuild import Difference, differences
from chains.repair.reconcile import reconcile
from chains.running.prepare import prepare
from chains.undoing.settle import settle
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop

UNDONE = {"compensation": {"action": "control.noop", "with": {"undone": True}}}
EVERYTHING = {
    "sequence": [
        {**noop("pay"), **UNDONE},
        {
            "parallel": "both",
            "branches": [
                {
                    "map": "m",
                    "over": {"$": "input.items"},
                    "max_concurrency": 2,
                    "on_item_failure": "collect",
                    "do": {"sequence": [noop("r", v={"$": "item"}), {**noop("s"), **UNDONE}]},
                },
                {
                    "loop": "again",
                    "max": 3,
                    "until": "index == `1`",
                    "do": {
                        "choice": "way",
                        "cases": [{"when": "index == `0`", "do": noop("even")}],
                        "otherwise": {**noop("odd"), **UNDONE},
                    },
                },
            ],
        },
        {**noop("late"), "when": "input.is_late"},
        {"wait": "w", "for": "1h"},
        noop("end"),
    ]
}
GIVEN = {"items": [1, 2, 3], "is_late": False}


def found(workflow: UUID | None = None) -> list[tuple[str | None, str, str, str]]:
    """The differences, without their workflow."""
    return [
        (each.step, each.field, each.event_says, each.row_says) for each in differences(workflow)
    ]


def change(table: str, what: str, workflow: UUID, key: str | None = None) -> None:
    """Change a row without an event."""
    where = "id = %s" if table == "workflows" else "workflow_id = %s AND key = %s"
    given = (workflow,) if key is None else (workflow, key)
    db.row(f"UPDATE {table} SET {what} WHERE {where}", given)


@pytest.fixture
def ended(kernel: Kernel) -> UUID:
    """A workflow with nodes of many kinds that has succeeded."""
    workflow = kernel.start(
        kernel.register(EVERYTHING, output={"m": {"$": "steps.m.output"}}), GIVEN
    )
    drive()
    pass_time("1 hour")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    return workflow


def test_rows_that_follow_from_their_events_show_no_difference(kernel: Kernel, ended: UUID) -> None:
    kernel.start("noop_chain")
    tally = Tally()
    assert list(differences(None, tally)) == []
    assert (tally.workflows, tally.gone) == (2, 0)
    assert list(differences(ended)) == []


@pytest.mark.parametrize(
    ("what", "field", "event_says", "row_says"),
    [
        ("status = 'failed'", "status", "succeeded", "failed"),
        ("cause = 'failed'", "cause", "none", "failed"),
        ("attention = 'crashing'", "attention", "not set", "set"),
        ("paused_at = now()", "paused_at", "not set", "set"),
        ("started_at = NULL", "started_at", "set", "not set"),
        ("type = 'noop_chain'", "type", "sample_", "noop_chain"),
    ],
)
def test_a_forged_workflow_is_reported(
    kernel: Kernel, ended: UUID, what: str, field: str, event_says: str, row_says: str
) -> None:
    change("workflows", what, ended)
    ((step, name, said, row),) = found()
    assert (step, name, row) == (None, field, row_says)
    assert said.startswith(event_says)


@pytest.mark.parametrize("column", ["input", "output"])
def test_a_forged_payload_of_a_workflow_is_reported(ended: UUID, column: str) -> None:
    change("workflows", f"{column} = '{{\"forged\": 1}}'", ended)
    assert [each[:2] for each in found()] == [(None, column)]


def test_a_workflow_that_is_said_to_have_ended_and_has_not_is_reported(ended: UUID) -> None:
    change("workflows", "completed_at = NULL, next_wake_at = now()", ended)
    assert found() == [(None, "completed_at", "set", "not set")]


@pytest.mark.parametrize(
    ("key", "what", "field", "event_says", "row_says"),
    [
        ("pay", "status = 'compensated'", "status", "succeeded", "compensated"),
        ("m[1].r", "status = 'pending'", "status", "succeeded", "pending"),
        ("late", "status = 'succeeded'", "status", "skipped", "succeeded"),
        ("again[0].odd", "status = 'running'", "status", "skipped", "pending"),
        ("pay", "tries = 2", "tries", "0", "2"),
        ("pay", "cost = 5", "cost", "0", "5"),
        ("pay", "generation = 1", "generation", "0", "1"),
        ("pay", "external_id = 'x'", "external_id", "none", "x"),
        ("pay", "action = 'stripe.refund'", "action", "control.noop", "stripe.refund"),
    ],
)
def test_a_forged_step_is_reported(
    ended: UUID, key: str, what: str, field: str, event_says: str, row_says: str
) -> None:
    change("steps", what, ended, key)
    assert found() == [(key, field, event_says, row_says)]


def test_a_forged_output_is_reported_and_an_erased_one_counted(ended: UUID) -> None:
    change("steps", "output = '{\"v\": 99}'", ended, "m[1].r")
    assert [each[:2] for each in found()] == [("m[1].r", "output")]
    change("steps", "output = NULL", ended, "m[1].r")
    tally = Tally()
    assert list(differences(None, tally)) == []
    assert tally.gone == 1


def test_an_empty_output_leaves_no_hash_and_is_reported_once_it_is_another(
    kernel: Kernel,
) -> None:
    workflow = kernel.start("noop_chain")
    drive()
    rows = db.rows("SELECT body FROM events WHERE workflow_id = %s", (workflow,))
    assert len(rows) == 5
    assert not any("output" in row["body"] or "input" in row["body"] for row in rows)
    assert found(workflow) == []
    change("steps", "output = '{\"v\": 1}'", workflow, "second")
    change("workflows", "input = '{\"v\": 1}'", workflow)
    assert [each[:2] for each in found(workflow)] == [(None, "input"), ("second", "output")]


def test_rows_too_many_and_too_few_are_reported(ended: UUID) -> None:
    db.row("DELETE FROM steps WHERE workflow_id = %s AND key = 'm[2].s'", (ended,))
    db.row("UPDATE steps SET key = 'm[3].s' WHERE workflow_id = %s AND key = 'm[1].s'", (ended,))
    db.row("UPDATE steps SET key = 'x~undo', kind = 'undo', of_key = 'x' WHERE key = 'end'", ())
    assert sorted(found()) == [
        ("end", "row", "succeeded", "none"),
        ("m[1].s", "row", "succeeded", "none"),
        ("m[2].s", "row", "succeeded", "none"),
        ("m[3].s", "row", "none", "succeeded"),
        ("x~undo", "row", "none", "succeeded"),
    ]


def test_a_record_that_cannot_be_folded_is_a_difference(kernel: Kernel, ended: UUID) -> None:
    other = kernel.start("noop_chain")
    db.row("ALTER TABLE events DISABLE TRIGGER USER", ())
    db.row("DELETE FROM events WHERE workflow_id = %s AND seq = 1", (ended,))
    db.row("UPDATE events SET body = '[1]' WHERE workflow_id = %s", (other,))
    third = kernel.start("noop_chain")
    outcomes.finish_step(kernel.claim(third, "first"), NOTHING, Finish({}))
    db.row("UPDATE events SET body = 'x' WHERE workflow_id = %s AND seq = 2", (third,))
    cut = kernel.start("noop_chain")
    outcomes.finish_step(kernel.claim(cut, "first"), NOTHING, Finish({"v": 1}))
    db.row("DELETE FROM events WHERE workflow_id = %s AND seq = 2", (cut,))
    told = {(each.workflow, each.step, each.field) for each in differences()}
    unreadable = {(workflow, None, "events") for workflow in (ended, other, third)}
    assert told == unreadable | {(cut, "first", "status"), (cut, "first", "output")}


def test_events_of_the_first_release_say_a_maps_items_by_their_hash(kernel: Kernel) -> None:
    name = kernel.register({"map": "m", "over": {"$": "input.items"}, "do": noop("r")})
    workflow = kernel.start(name, {"items": [1, 2, 3]})
    drive()
    db.row("ALTER TABLE events DISABLE TRIGGER USER", ())
    db.row(
        "UPDATE events SET body = (body::jsonb #- '{data,count}')::text"
        " WHERE workflow_id = %s AND body::jsonb ->> 'step' = 'm~expand'",
        (workflow,),
    )
    assert found() == []


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_in_whatever_order_rows_follow_from_events(
    kernel: Kernel, seed: int
) -> None:
    reconcile()
    db.row("UPDATE reconciler_beat SET grace_until = clock_timestamp()", ())
    name = kernel.register(EVERYTHING, timeout="30d")
    chaos = Chaos(kernel, random.Random(seed), [kernel.start(name, GIVEN) for _ in range(2)])
    for _ in range(70):
        move = chaos.move()
        assert list(differences()) == [], f"after {chaos.moves[-6:]} and {move}"


class Chaos:
    """Workflows to which anything may happen that workers, vendors, people and time can do."""

    def __init__(self, kernel: Kernel, dice: random.Random, workflows: list[UUID]) -> None:
        self.kernel = kernel
        self.dice = dice
        self.workflows = workflows
        self.held: list[Claim] = []
        self.moves: list[str] = []

    def move(self) -> str:
        """Something happens."""
        moves: list[Callable[[], str]] = [self.claim] * 6 + [self.end] * 8
        moves += [self.lapse, self.wake, self.pass_time, self.settle] * 2 + [self.stop]
        made = self.dice.choice(moves)()
        self.moves.append(made)
        return made

    def claim(self) -> str:
        rows = db.rows(
            "SELECT workflow_id, key, action FROM steps WHERE status IN ('pending', 'unknown')"
            " AND publish_after IS NOT NULL ORDER BY key",
            (),
        )
        if not rows:
            return "nothing to claim"
        row = self.dice.choice(rows)
        held = claim_step(row["workflow_id"], row["key"], 30.0)
        if isinstance(held, Claim):
            self.held.append(held)
        return f"claim {row['key']}"

    def end(self) -> str:
        if not self.held:
            return "nothing held"
        held = self.held.pop(self.dice.randrange(len(self.held)))
        how = self.dice.choice(["run", "run", "run", "retry", "suspend", "doubt", "fail"])
        if held.stopping and not held.undo and self.dice.random() < 0.5:
            how = "cancel"
        getattr(self, f"_{how}")(held)
        return f"{how} {held.key}"

    def _run(self, held: Claim) -> None:
        row = self.kernel.step(held.workflow_id, held.key)
        action = actions()[row["action"]]
        # An unknown step of an action that has no effect has nothing to look up.
        advance = record(
            held, execute(held, action, prepare, time.monotonic()), fraction=self.dice.random()
        )
        if advance.verdict in {"draining", "undone"}:
            settle(held.workflow_id)

    def _retry(self, held: Claim) -> None:
        code, fresh = self.dice.choice(["busy", "unexpected"]), self.dice.random() < 0.3
        attempt = replace(NOTHING, cost=self.dice.choice([0, 7]))
        outcomes.retry_step(held, attempt, {"code": code}, 0.0, new_generation=fresh)

    def _suspend(self, held: Claim) -> None:
        external_id = f"{held.key}-{self.dice.choice('ab')}"
        outcomes.suspend_step(held, NOTHING, external_id, 60.0, 600_000.0)

    def _doubt(self, held: Claim) -> None:
        if held.undo:
            return self._retry(held)
        code = self.dice.choice(["unknown_outcome", "unexpected"])
        was_sent = self.dice.random() < 0.5
        outcomes.doubt_step(held, NOTHING, {"code": code}, 0.0, None, was_sent=was_sent)
        return None

    def _fail(self, held: Claim) -> None:
        if self.dice.random() < 0.6:
            return self._retry(held)
        outcomes.fail_step(held, NOTHING, {"code": "declined"})
        return None

    def _cancel(self, held: Claim) -> None:
        outcomes.cancel_step(held, NOTHING)

    def lapse(self) -> str:
        db.row(
            "UPDATE steps SET lease_until = clock_timestamp() - interval '1 ms'"
            " WHERE status = 'running' AND random() < 0.5",
            (),
        )
        db.row("UPDATE workflows SET next_wake_at = playalter_now() WHERE completed_at IS NULL", ())
        reconcile()
        return "leases lapse"

    def wake(self) -> str:
        rows = db.rows("SELECT external_id AS id FROM steps WHERE status = 'waiting' LIMIT 1", ())
        for row in rows:
            number = f"{row['id']}-{len(self.moves)}"
            accept_delivery("control", Delivery(number, row["id"], "done", {}))
        return "wake"

    def pass_time(self) -> str:
        pass_time("1 hour")
        return "an hour passes"

    def settle(self) -> str:
        for workflow in self.workflows:
            settle(workflow)
        return "settle"

    def stop(self) -> str:
        if self.dice.random() < 0.7:
            return "no stop"
        workflow, undo = self.dice.choice(self.workflows), self.dice.random() < 0.7
        try:
            self.kernel.cancel(workflow, undo=undo)
        except Conflict as err:
            return f"no stop: {err.message}"
        return f"stop, undo={undo}"


def test_a_difference_names_its_workflow(kernel: Kernel, ended: UUID) -> None:
    other: Any = kernel.start("noop_chain")
    change("steps", "status = 'succeeded'", other, "second")
    assert list(differences()) == [Difference(other, "second", "status", "pending", "succeeded")]
    assert found(ended) == []
