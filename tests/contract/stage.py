"""A claimed step in a real database, whose action a test runs without engine, broker or worker."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

import tasks
from app import db
from app.engine.call import Call
from app.keys import undo_of
from app.outbound.http import HttpCall, exchange_scope
from app.platform import Action, Found, Intent, Json, LookupAnswer, Undo
from app.protocol import claims, intents, outcomes
from app.protocol.claims import Claim
from app.protocol.controls import verdict
from app.protocol.outcomes import Attempt

KEY = "step"
ATTEMPT_SECONDS = 10.0
"""The deadline of an attempt. None needs so long, but a busy machine may pause for seconds."""
_DEFINITION = (
    "INSERT INTO definitions (name, version, body, checksum, active)"
    " VALUES ('contract', 1, '{}', 'x', true) ON CONFLICT DO NOTHING"
)
_START = (
    "SELECT start_workflow_v1(:id, :user, 'contract', 1, '{}', NULL, NULL, 3600,"
    " cast(:steps AS jsonb), 15, 5, NULL, NULL, 0, NULL, NULL)"
)


@dataclass
class Step:
    """The only step of a workflow. Each `run` after the first replays it under the same claim."""

    action: Action
    claim: Claim
    given: Json
    cost: int = field(default=0)
    calls: list[HttpCall] = field(default_factory=list)
    """The calls of the last attempt to platforms."""
    seconds: float = ATTEMPT_SECONDS
    """The deadline of an attempt."""

    def run(self, external_id: str | None = None) -> Json:
        """Run the action from the top: as a first attempt, or woken if `external_id` is given."""
        call = self.call(external_id)
        given = self.action.input.model_validate_json(json.dumps(self.given))
        with self._attempt(call):
            output = self.action.run(call, given)
        if self.action.output is not None:
            self.action.output.model_validate_json(json.dumps(output), strict=True)
        return output

    @contextlib.contextmanager
    def _attempt(self, call: Call) -> Iterator[None]:
        """An attempt that records its answers. Its outcome is recorded by nobody."""
        self.calls = []
        deadline = time.monotonic() + self.seconds
        with exchange_scope(deadline, self.calls, before=call.record_held):
            try:
                yield
            finally:
                call.record_held()
                cost = call.cost + call.booked
                assert cost == 0 or cost <= self.ceiling, f"{cost} is more than was reserved"
                self.cost += cost

    def call(self, external_id: str | None = None) -> Call:
        """The Call that the action receives at an attempt."""
        return Call(replace(self.claim, external_id=external_id), self.action)

    @property
    def intents(self) -> tuple[Intent, ...]:
        """The recorded intents of the step."""
        return intents.intents(self.claim.workflow_id, KEY)

    def open_intent(self) -> Intent:
        """The only intent of which it is not known whether it happened."""
        (found,) = [intent for intent in self.intents if intent.resolution is None]
        return found

    def look_up(self, intent: Intent | None = None) -> LookupAnswer:
        """The answer of the action's lookup for an intent, the open one by default."""
        assert self.action.lookup is not None
        return self.action.lookup(self.call(), intent or self.open_intent())

    def adopt(self, found: Found) -> None:
        """Record the lookup's answer as the open intent's response, as the engine does."""
        ordinal = self.open_intent().ordinal
        assert intents.resolve_intent(self.claim, ordinal, "accepted", found.response)

    def settle(self) -> None:
        """Record that the open call has not happened, as the engine does after a lookup says so;
        without an open call, do nothing."""
        for intent in self.intents:
            if intent.resolution is None:
                assert intents.resolve_intent(self.claim, intent.ordinal, "never", None)

    @property
    def ceiling(self) -> int:
        """The most that an attempt may cost, in micro-USD; 0 if the action is free."""
        if self.action.ceiling is None:
            return 0
        given = self.action.input.model_validate_json(json.dumps(self.given))
        return self.action.ceiling(given)

    def retried(self) -> "Step":
        """The step after it has failed and a person has retried it: a new generation of it."""
        error = {"code": "failed", "message": "it failed after its call was accepted"}
        outcomes.fail_step(self.claim, Attempt(None, 0, []), error, is_holding=True)
        asked = {
            "workflow": self.claim.workflow_id,
            "key": KEY,
            "input": None,
            "by": "ada@example.com",
            "reason": "the first result is not wanted",
            "person": [],
            "republish": 0.0,
            "artifacts": None,
        }
        assert verdict("retry_step_by_hand_v1", asked, is_dry=False) == "due"
        return replace(self, claim=_claim(self.claim.workflow_id, KEY), cost=0)

    def undo(
        self,
        *,
        external_id: str | None = None,
        output: Json | None = None,
        status: str = "succeeded",
        error_code: str | None = None,
    ) -> Json:
        """Run the compensation of a step with this status as an attempt of its row, `step~undo`."""
        assert self.action.compensate is not None
        told = Undo(
            KEY, status, self.given, output, external_id, self.intents, error_code=error_code
        )
        call = Call(claim_undo(self.claim.workflow_id, self.action.name), self.action)
        with self._attempt(call):
            return self.action.compensate(call, told)

    def take_back(self, effect: str, *, status: str) -> Json:
        """Run the compensation of an orphan effect while the step has the status."""
        assert self.action.compensate is not None
        told = Undo(KEY, status, self.given, None, effect, self.intents, is_orphan=True)
        call = Call(claim_undo(self.claim.workflow_id, self.action.name), self.action)
        with self._attempt(call):
            return self.action.compensate(call, told)


def claimed_step(user_id: UUID, action: str, given: Json, forked_from: UUID | None = None) -> Step:
    """Start a workflow of one step and claim the step. Nothing is sent to a broker."""
    workflow_id = uuid7()
    with db.begin() as connection:
        connection.execute(text(_DEFINITION))
        connection.execute(
            text(_START),
            {"id": workflow_id, "user": user_id, "steps": json.dumps([_row(KEY, action)])},
        )
        connection.execute(
            text("UPDATE workflows SET forked_from = :origin WHERE id = :id"),
            {"id": workflow_id, "origin": forked_from},
        )
    return Step(tasks.actions()[action], _claim(workflow_id, KEY), given)


def claim_undo(workflow_id: UUID, action: str) -> Claim:
    """Claim the row of the step's compensation.

    The first call makes the row. Each further call ends the claim before and claims the row again.
    """
    key = undo_of(KEY)
    with db.begin() as connection:
        parameters: dict[str, Any] = {"id": workflow_id, "key": key}
        connection.execute(
            text("UPDATE workflows SET status = 'compensating' WHERE id = :id"), parameters
        )
        again = connection.execute(
            text(
                "UPDATE steps SET status = 'pending', fence = NULL, lease_until = NULL"
                " WHERE workflow_id = :id AND key = :key"
            ),
            parameters,
        )
        if not again.rowcount:
            rows = json.dumps([_row(key, action, "undo", KEY)])
            connection.execute(
                text("SELECT add_steps_v1(:id, cast(:steps AS jsonb), 15)"),
                {"id": workflow_id, "steps": rows},
            )
    return _claim(workflow_id, key)


def _row(key: str, action: str, kind: str = "step", of_key: str | None = None) -> Json:
    return {
        "key": key,
        "position": 1,
        "action": action,
        "kind": kind,
        "of_key": of_key,
        "released": True,
    }


def _claim(workflow_id: UUID, key: str) -> Claim:
    claim = claims.claim_step(workflow_id, key, 60.0)
    assert isinstance(claim, Claim)
    return claim
