"""Any interleaving of what workers, reconcilers, vendors and people do; checked after each move."""

from collections import Counter
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app import db
from app.broker.links import queue_of
from app.protocol import outcomes
from app.protocol.claims import Claim
from chains.repair.reconcile import reconcile
from chains.running.fairly import may_wait
from chains.undoing.settle import settle
from chains.undoing.stop import stop
from tests.integration.properties import observed
from tests.integration.properties.samples import INPUT
from tests.integration.properties.vendor import FAULTS
from tests.integration.properties.world import World
from tests.invariants import Broken, broken

PICK = st.integers(0, 15)
REAL_SECONDS = (3.0, 16.0, 200.0)
VIRTUAL_SECONDS = (3600.0, 8 * 86400.0)
MEANWHILE = ("nothing", "nothing", "lapse", "cancel", "stop", "webhook", "second claim", "race")
ROUNDS = 60


class Protocol(RuleBasedStateMachine):
    """One sample's workflow (and its children) under every hand there is."""

    def __init__(self, world: World, sample: str) -> None:
        super().__init__()
        self.world = world
        self.sample = sample
        self.id: UUID | None = None
        self.seen = observed.newest()
        self.paused: set[UUID] = set()

    @initialize(fails=st.booleans(), done=st.integers(0, 10))
    def start(self, fails: bool, done: int) -> None:
        """It starts, and goes well for so many steps."""
        self.id = self.world.kernel.start(self.sample, {**INPUT, "fails": fails})
        for number in range(done):
            self.work(number, False, "none", "nothing")

    # Workers.

    @rule(
        pick=PICK,
        is_taking=st.booleans(),
        fault=st.sampled_from(FAULTS),
        meanwhile=st.sampled_from(MEANWHILE),
    )
    def work(self, pick: int, is_taking: bool, fault: str, meanwhile: str) -> None:
        """A due step is claimed and run."""
        due = self.world.due()
        if due:
            claim = self.world.claim(due[pick % len(due)])
            if claim is not None:
                self._attempt(claim, fault, meanwhile, is_taking=is_taking, is_lost=False)

    @rule(pick=PICK)
    def work_well(self, pick: int) -> None:
        self.work(pick, True, "none", "nothing")

    @rule(
        pick=PICK,
        is_taking=st.booleans(),
        meanwhile=st.sampled_from(MEANWHILE),
        is_lost=st.booleans(),
    )
    def work_together(self, pick: int, is_taking: bool, meanwhile: str, is_lost: bool) -> None:
        """A message of several siblings comes; something may happen before they are recorded."""
        due = self.world.due_siblings()
        held = self.world.claim_together(due[pick % len(due)]) if due else ()
        if not held:
            return
        if meanwhile != "nothing":
            self._do(meanwhile, held[pick % len(held)])
        fences = {each.key: each.fence for each in held}
        before = {key: self.world.kernel.step(held[0].workflow_id, key) for key in fences}
        verdicts = self.world.attempt_together(held, is_taking=is_taking, is_lost=is_lost)
        lost = [
            k
            for k, row in before.items()
            if (row["fence"], row["status"]) != (fences[k], "running")
        ]
        assert verdicts.count("fenced") == len(lost), f"14: {verdicts}, without a fence: {lost}"

    @rule()
    def claim_all(self) -> None:
        """As many workers as there are due steps claim them."""
        for step in self.world.due():
            self.world.claim(step)

    @rule(pick=PICK, is_lost=st.booleans())
    def claim_any(self, pick: int, is_lost: bool) -> None:
        """A message of any step comes, due or not, for the first time or again."""
        steps = self.world.steps()
        step = steps[pick % len(steps)]
        claim = self.world.claim(step, is_lost=is_lost)
        assert claim is None or step["status"] in {"pending", "unknown"}
        assert claim is None or self.world.claim(step) is None, "claimed twice"

    @precondition(lambda self: self.world.held)
    @rule(
        pick=PICK,
        fault=st.sampled_from(FAULTS),
        meanwhile=st.sampled_from(MEANWHILE),
        is_lost=st.booleans(),
    )
    def attempt_any(self, pick: int, fault: str, meanwhile: str, is_lost: bool) -> None:
        """Somebody who claimed a step goes on with it, however late."""
        held = self.world.held
        claim = held[-1 - pick % len(held)]
        self._attempt(claim, fault, meanwhile, is_taking=False, is_lost=is_lost)

    @precondition(lambda self: any(map(may_wait, self.world.held)))
    @rule(pick=PICK, seconds=st.sampled_from(REAL_SECONDS))
    def put_off(self, pick: int, seconds: float) -> None:
        """Somebody who claimed a step lets it wait for its user's share."""
        held = [claim for claim in self.world.held if may_wait(claim)]
        claim = held[-1 - pick % len(held)]
        before = self.world.kernel.step(claim.workflow_id, claim.key)
        verdict = self.world.put_off(claim, seconds)
        is_holder = before["fence"] == claim.fence and before["status"] == "running"
        assert is_holder == (verdict != "fenced"), verdict
        row = self.world.kernel.step(claim.workflow_id, claim.key)
        if verdict in {"fenced", "called"}:
            assert row == before
        else:
            assert row["tries"] == before["tries"], "being put off is no try"

    def _attempt(
        self, claim: Claim, fault: str, meanwhile: str, *, is_taking: bool, is_lost: bool
    ) -> None:
        vendor = self.world.vendor
        vendor.fault = fault
        vendor.meanwhile = None if meanwhile == "nothing" else lambda: self._do(meanwhile, claim)
        row = self.world.kernel.step(claim.workflow_id, claim.key)
        is_holder = row["fence"] == claim.fence and row["status"] == "running"
        before = None if is_holder else self.world.state()
        verdict = self.world.attempt(claim, is_taking=is_taking, is_lost=is_lost)
        vendor.fault, vendor.meanwhile = "none", None
        if not is_holder:
            assert verdict == "fenced", f"14: {claim.key} recorded without its fence: {verdict}"
            assert self.world.state() == before, f"14: {claim.key} left something without its fence"

    def _do(self, what: str, claim: Claim) -> None:
        """What comes between a call's intent and its effect."""
        step = self.world.kernel.step(claim.workflow_id, claim.key)
        match what:
            case "lapse":
                self.world.lapse(claim)
            case "cancel":
                self.world.cancel(claim.workflow_id)
            case "stop":
                stop(claim.workflow_id, "timed_out", {"code": "timed_out"})
            case "webhook":
                self.world.deliver(step)
            case "race":
                stop(claim.workflow_id, "timed_out", {"code": "timed_out"})
                for other in [each for each in self.world.held if each.key != claim.key]:
                    self.world.attempt(other)
            case "second claim":
                assert self.world.claim(step) is None, "2: claimed twice"

    @precondition(lambda self: self.world.held)
    @rule(pick=PICK)
    def lapse(self, pick: int) -> None:
        held = self.world.held
        self.world.lapse(held[-1 - pick % len(held)])

    @rule()
    def lag(self) -> None:
        self.world.vendor.is_lagging = True

    # The reconciler, and those who carry on.

    @rule()
    def look(self) -> None:
        for workflow in self.world.workflows():
            self.world.look(workflow)

    @rule(pick=PICK)
    def settle(self, pick: int) -> None:
        settle(self._workflow(pick))

    @rule(seconds=st.sampled_from(REAL_SECONDS))
    def pass_real_time(self, seconds: float) -> None:
        self.world.pass_real_time(seconds)
        reconcile()

    @rule(seconds=st.sampled_from(VIRTUAL_SECONDS))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        reconcile()

    # Those outside.

    @rule(pick=PICK)
    def deliver(self, pick: int) -> None:
        jobs = self.world.steps("s.action = 'replicate.predict' AND s.kind = 'step'")
        if jobs:
            self.world.deliver(jobs[pick % len(jobs)])

    @rule(pick=PICK)
    def wake(self, pick: int) -> None:
        """Somebody looks for a delivery that may not be there."""
        waiting = self.world.steps("s.external_id IS NOT NULL")
        if waiting:
            step = waiting[pick % len(waiting)]
            platform = queue_of(step["action"])
            outcomes.wake_step(step["workflow_id"], step["key"], platform, step["external_id"])

    @precondition(lambda self: self.sample == "with_people")
    @rule(approved=st.booleans())
    def signal(self, approved: bool) -> None:
        assert self.id is not None
        self.world.signal(self.id, approved=approved)

    @rule(pick=PICK, undo=st.booleans(), is_sure=st.integers(0, 2))
    def cancel(self, pick: int, undo: bool, is_sure: int) -> None:
        if is_sure == 2:
            self.world.cancel(self._workflow(pick), undo=undo)

    @rule(pick=PICK, cause=st.sampled_from(["timed_out", "failed"]), is_sure=st.integers(0, 2))
    def stop(self, pick: int, cause: str, is_sure: int) -> None:
        """A stop is committed, and whoever did it dies before the barrier."""
        if is_sure == 2:
            stop(self._workflow(pick), cause, {"code": cause})

    @rule(pick=PICK)
    def pause(self, pick: int) -> None:
        self.world.pause(self._workflow(pick))

    @rule(pick=PICK)
    def resume(self, pick: int) -> None:
        self.world.resume(self._workflow(pick))

    def _workflow(self, pick: int) -> UUID:
        found = self.world.workflows()
        return found[pick % len(found)]

    # What holds.

    @invariant()
    def nothing_is_broken(self) -> None:
        if self.id is None:
            return
        found = [
            *broken(db.rows, self.world.workflows()),
            *observed.forbidden_claims(self.seen),
            *observed.overspent(self.seen),
            *self._published_more_than_won(),
        ]
        assert not found, found
        assert not (strange := observed.unmarked(self.seen)), strange
        assert not (without := self._effects_without_intents()), f"3: {without}"
        self.seen = observed.newest()

    def _published_more_than_won(self) -> list[Broken]:
        before = self.world.published.copy()
        self.world.count_messages()
        paused, self.paused = self.paused, self._paused()
        for workflow_id, key in self.world.published - before:
            if workflow_id in paused & self.paused:
                return [Broken(15, workflow_id, f"{key} was published")]
        won = observed.wins(self.world.workflows())
        return [
            Broken(8, workflow_id, f"{key}: {count} messages of {won.get((workflow_id, key), 0)}")
            for (workflow_id, key), count in self.world.published.items()
            if count > won.get((workflow_id, key), 0)
        ]

    def _paused(self) -> set[UUID]:
        rows = db.rows("SELECT id FROM workflows WHERE paused_at IS NOT NULL", ())
        return {row["id"] for row in rows}

    def _effects_without_intents(self) -> set[str]:
        rows = db.rows("SELECT key FROM intents", ())
        return set(self.world.vendor.books) - {row["key"] for row in rows}

    def teardown(self) -> None:
        """With faults over, each workflow comes to its end or to a person, and its books agree."""
        if self.id is None:
            return
        for _ in range(ROUNDS):
            if not self._is_carried_on():
                break
            self.nothing_is_broken()
        left = [row for row in self._left() if row["attention"] is None]
        assert not left, f"stuck: {left}, {self.world.steps()}"
        self.nothing_is_broken()
        self._check_books()

    def _is_carried_on(self) -> bool:
        """One round of everybody doing their part; False when nothing is left to do."""
        for workflow in self.world.workflows():
            self.world.resume(workflow)
        for done in self.world.steps("s.action = 'replicate.predict' AND s.status = 'waiting'"):
            self.world.deliver(done)
        self.world.pass_real_time(200.0)
        self.world.pass_time(3600.0)
        if self.sample == "with_people":
            assert self.id is not None
            self.world.signal(self.id, approved=True)
        reconcile()
        for step in self.world.due():
            claim = self.world.claim(step)
            if claim is not None:
                self.world.attempt(claim)
        return bool(self._left())

    def _left(self) -> list[dict[str, Any]]:
        return db.rows(
            "SELECT id, status, cause, attention, next_wake_at FROM workflows"
            " WHERE completed_at IS NULL",
            (),
        )

    def _check_books(self) -> None:
        status = {row["id"]: row for row in db.rows("SELECT * FROM workflows", ())}
        standing = Counter(
            (done.workflow_id, done.step)
            for done in self.world.vendor.books.values()
            if not done.is_undone
        )
        twice = [each for each, count in standing.items() if count > 1]
        assert not twice, f"paid twice: {twice}"
        for workflow_id, key in standing:
            row = status[workflow_id]
            is_undone = row["status"] in {"compensated", "cancelled", "failed"} and row["undoes"]
            assert not is_undone, f"6: {key} stands at the vendor of a workflow {row['status']}"
