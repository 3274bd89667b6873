"""Workflows of one user, a vendor, and hands that do what workers, reconcilers and people do, in
any order: each hand is one call of the real code."""

import base64
import json
import time
from collections import Counter
from typing import Any
from uuid import UUID

import redis

from app import db
from app.broker.links import SIBLINGS
from app.engine import siblings
from app.engine.attempt import execute
from app.engine.moves import Moves, Result
from app.engine.outcome_writer import record
from app.errors import Conflict
from app.keys import signal_id
from app.platform import Action, Delivery
from app.protocol import claims, outcomes
from app.protocol.claims import Advance, Claim
from app.protocol.intents import idempotency_key
from app.protocol.known import Known
from app.protocol.shares import await_share
from app.settings import current
from chains.actions import actions
from chains.commands.accept_delivery import accept_delivery
from chains.dispatch import dispatch
from chains.repair.reconcile import reconcile
from chains.running.prepare import prepare
from chains.undoing.settle import settle
from chains.waking import wake_parent
from tests.integration.conftest import Kernel
from tests.integration.properties.vendor import Killed, Vendor, external_id

QUEUES = ("control", "stripe", "replicate")
_TABLES = (
    "observed", "platform_logs", "webhook_deliveries", "intents", "events", "steps", "budgets",
    "child_costs", "booked_effects", "workflows", "reconciler_beat", "clock_offset",
)  # fmt: skip


class World:
    """Begins empty; the tables of the example before it are emptied."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.vendor = Vendor()
        self.held: list[Claim] = []
        self.published: Counter[tuple[UUID, str]] = Counter()
        self.actions: dict[str, Action] = {**actions(), **self.vendor.actions()}
        self.deliveries = 0
        _empty()

    # What is there.

    def workflows(self) -> list[UUID]:
        """Every workflow, children too, oldest first."""
        found = db.rows("SELECT id FROM workflows ORDER BY depth, created_at, id", ())
        return [row["id"] for row in found]

    def steps(self, condition: str = "true") -> list[dict[str, Any]]:
        """Rows of steps, always in the same order."""
        return db.rows(
            "SELECT s.* FROM steps s JOIN workflows w ON w.id = s.workflow_id"
            f" WHERE {condition} ORDER BY w.depth, w.created_at, w.id, s.kind <> 'step',"
            " s.position, s.key",
            (),
        )

    def due(self) -> list[dict[str, Any]]:
        """Steps that a worker may claim now."""
        return self.steps(
            "w.completed_at IS NULL AND w.paused_at IS NULL AND s.publish_after IS NOT NULL"
            " AND s.status IN ('pending', 'unknown')"
            " AND (s.wake_at IS NULL OR s.wake_at <= playalter_now()) AND CASE w.status"
            " WHEN 'running' THEN s.kind = 'step' ELSE s.kind <> 'step' OR s.status = 'unknown' END"
        )

    # Workers.

    def claim(self, step: dict[str, Any], *, is_lost: bool = False) -> Claim | None:
        """A message of the step arrives."""
        seconds = self.actions[step["action"]].attempt_seconds
        found = claims.claim_step(step["workflow_id"], step["key"], seconds)
        if isinstance(found, Claim):
            self.held.append(found)
            return found
        if found is not None:
            self._lead_on(step["workflow_id"], step["key"], found, is_lost=is_lost)
        return None

    def attempt(self, claim: Claim, *, is_taking: bool = False, is_lost: bool = False) -> str:
        """Run the claimed step and record what came of it; the verdict. `is_lost`: the worker dies
        after the commit, before anything that follows."""
        row = self.kernel.step(claim.workflow_id, claim.key)
        action = self.actions[row["action"]]
        try:
            result = execute(claim, action, prepare, time.monotonic())
        except Killed:
            return "killed"
        advance = self._record(claim, result, row["next_keys"], is_taking=is_taking)
        if advance.claim is not None:
            self.held.append(advance.claim)
        self._lead_on(claim.workflow_id, claim.key, advance, is_lost=is_lost)
        return advance.verdict

    def put_off(self, claim: Claim, seconds: float) -> str:
        """The claimed step waits for its user's share; the verdict."""
        verdict = await_share(claim, seconds)
        self._lead_on(claim.workflow_id, claim.key, Advance(verdict), is_lost=False)
        return verdict

    def due_siblings(self) -> list[list[dict[str, Any]]]:
        """Due steps that one message would carry, two or more."""
        parts: dict[tuple[UUID, str, str], list[dict[str, Any]]] = {}
        for step in self.due():
            if step["join_key"] and not step["next_keys"] and self.actions[step["action"]].quick:
                place = (step["workflow_id"], step["join_key"], step["action"])
                parts.setdefault(place, []).append(step)
        return [together for together in parts.values() if len(together) > 1]

    def claim_together(self, steps: list[dict[str, Any]]) -> tuple[Claim, ...]:
        """A message of these siblings arrives; those claimed with it."""
        keys = [step["key"] for step in steps]
        found = siblings.claim_siblings(steps[0]["workflow_id"], keys, 60.0, Known())
        self.held += found.claims
        return found.claims

    def attempt_together(
        self, held: tuple[Claim, ...], *, is_taking: bool = False, is_lost: bool = False
    ) -> list[str]:
        """Run claimed siblings and record what came of them; the verdicts."""
        row = self.kernel.step(held[0].workflow_id, held[0].key)
        action, began = self.actions[row["action"]], time.monotonic()
        ended = siblings.run_claimed(
            held, action, prepare, began, lambda: 60.0 if is_taking else None
        )
        advance = siblings.together([each.advance for each in ended])
        if advance is not None:
            if advance.claim is not None:
                self.held.append(advance.claim)
            self._lead_on(held[0].workflow_id, held[0].key, advance, is_lost=is_lost)
        return [each.advance.verdict for each in ended]

    def _record(
        self, claim: Claim, result: Result, next_keys: list[str] | None, *, is_taking: bool
    ) -> Advance:
        if not is_taking or result.move is not Moves.FINISH or result.is_special:
            return record(claim, result, fraction=0.0)
        if next_keys is None or len(next_keys) != 1:
            return record(claim, result, fraction=0.0)
        output = result.finish.output
        return outcomes.advance_step(claim, result.attempt, output, next_keys[0], 60.0)

    def _lead_on(self, workflow_id: UUID, key: str, advance: Advance, *, is_lost: bool) -> None:
        if is_lost:
            return
        if advance.verdict in {"draining", "undone"}:
            settle(workflow_id)
        if advance.verdict == "child_completed":
            wake_parent(workflow_id)
        dispatch(workflow_id, list(advance.released))

    # Time.

    def lapse(self, claim: Claim) -> None:
        """The holder is silent for longer than its lease."""
        db.row(
            "UPDATE steps SET lease_until = clock_timestamp() - interval '1 ms'"
            " WHERE workflow_id = %s AND key = %s AND fence = %s AND status = 'running'",
            (claim.workflow_id, claim.key, claim.fence),
        )
        self.look(claim.workflow_id)

    def look(self, workflow_id: UUID) -> None:
        """A pass of the reconciler that finds the workflow due."""
        db.row(
            "UPDATE workflows SET next_wake_at = playalter_now()"
            " WHERE id = %s AND completed_at IS NULL",
            (workflow_id,),
        )
        reconcile()

    def pass_real_time(self, seconds: float) -> None:
        """All clocks go on: what is written in real time lies further back."""
        self.pass_time(seconds)
        db.row(
            "WITH moved AS (UPDATE steps SET lease_until = lease_until - seconds(%s),"
            " deadline_at = deadline_at - seconds(%s), publish_after = publish_after - seconds(%s),"
            " started_at = started_at - seconds(%s)), received AS ("
            " UPDATE webhook_deliveries SET received_at = received_at - seconds(%s))"
            " UPDATE intents SET first_sent_at = first_sent_at - seconds(%s),"
            " key_sent_at = key_sent_at - seconds(%s)",
            (seconds,) * 7,
        )

    def pass_time(self, seconds: float) -> None:
        """Time passes for waits and time-outs only."""
        db.row("UPDATE clock_offset SET amount = amount + seconds(%s)", (seconds,))

    # Those outside.

    def deliver(self, step: dict[str, Any]) -> None:
        """The vendor's webhook for the job of a step comes in, however early or often."""
        key = idempotency_key(step["workflow_id"], step["key"], 0, step["generation"])
        made = external_id(key)
        if key in self.vendor.books:
            self.vendor.finished.add(made)
        self.deliveries += 1
        sent = Delivery(f"delivery-{self.deliveries // 2}", made, "completed", {})
        accept_delivery("replicate", sent)

    def signal(self, workflow_id: UUID, *, approved: bool) -> str:
        """Somebody decides."""
        self.deliveries += 1
        payload = json.dumps({"approved": approved, "by": "ada@example.com"})
        row = db.row(
            "SELECT * FROM signal_workflow_v1(%s, 'review', %s, NULL, %s, %s, 15)",
            (
                workflow_id,
                signal_id(workflow_id, "review"),
                f"{workflow_id}:{self.deliveries // 2}",
                payload,
            ),
        )
        assert row is not None
        if row["verdict"] == "woken" and not row["is_paused"]:
            dispatch(workflow_id, [row["step_key"]])
        return str(row["verdict"])

    def cancel(self, workflow_id: UUID, *, undo: bool = True) -> str:
        """Its user cancels it; the status, or why it is refused."""
        try:
            return self.kernel.cancel(workflow_id, undo=undo)
        except Conflict as err:
            return err.code

    def pause(self, workflow_id: UUID) -> None:
        """Nothing is claimed any more."""
        db.row(
            "UPDATE workflows SET paused_at = clock_timestamp()"
            " WHERE id = %s AND completed_at IS NULL",
            (workflow_id,),
        )

    def resume(self, workflow_id: UUID) -> None:
        """It goes on."""
        db.row(
            "UPDATE workflows SET paused_at = NULL, next_wake_at = playalter_now()"
            " WHERE id = %s AND paused_at IS NOT NULL AND completed_at IS NULL",
            (workflow_id,),
        )

    def count_messages(self) -> None:
        """Take what was published out of the queues, and count it."""
        messages: list[bytes] = []
        with redis.Redis.from_url(current().redis_url, socket_timeout=5) as client:
            # A priority other than the first has a list of its own, behind a separator.
            for name in client.scan_iter():
                if name.split(b"\x06")[0].decode() in QUEUES:
                    messages += client.lrange(name, 0, -1)
                    client.delete(name)
        for message in messages:
            published = json.loads(message)
            (workflow_id, key), *_ = json.loads(base64.b64decode(published["body"]))
            for each in published["headers"].get(SIBLINGS) or [key]:
                self.published[UUID(workflow_id), each] += 1

    def state(self) -> Any:
        """All that is recorded, as one value to compare."""
        return db.row(
            "SELECT (SELECT md5(string_agg(t::text, '|' ORDER BY workflow_id, key)) FROM steps t),"
            " (SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM workflows t) AS w,"
            " (SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM webhook_deliveries t) AS d,"
            " (SELECT md5(string_agg(t::text, '|' ORDER BY workflow_id, step_key, generation,"
            " ordinal)) FROM intents t) AS i, (SELECT count(*) FROM events) AS e",
            (),
        )


def _empty() -> None:
    # Events can be removed by the owner of the database only, who has the triggers aside for it.
    deletes = ";".join(f"DELETE FROM {table}" for table in _TABLES)
    db.row(f"SET session_replication_role = replica; {deletes}; RESET session_replication_role", ())
    db.row("INSERT INTO clock_offset (amount) VALUES ('0')", ())
    db.row(
        "INSERT INTO reconciler_beat (beat_at, grace_until)"
        " VALUES (clock_timestamp(), clock_timestamp())",
        (),
    )
    db.row("SELECT setseed(0.5)", ())
