"""Runs one message in this worker: claims and runs its step, records the end, takes the next link.

A worker that takes a link runs it within the current message, instead of publishing a message for
it. Invariant: the outcome of a step is in PostgreSQL before anything that follows it moves.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from celery import Task

from app.broker.links import Links, Next, is_in_thread_pool, queue_of, serves, task_id
from app.broker.shutdown import is_shutting_down
from app.broker.task_events import TakenEvents
from app.engine import siblings
from app.engine.attempt import execute
from app.engine.moves import Moves, Result
from app.engine.outcome_writer import record
from app.engine.prepared import Prepared
from app.keys import undone_by
from app.platform import Action
from app.protocol import claims, outcomes
from app.protocol.cancelled import Cancelled
from app.protocol.claims import Advance, Claim
from app.protocol.known import Known

log = structlog.get_logger()

TAKE_SECONDS = 1.0
THREAD_TAKE_SECONDS = 5.0
"""How long a message takes links: in a process, and in a thread. Threads end messages all the time,
so urgent steps find one soon; and a message more for each link is what a full worker can least
afford: it would make the links slower still."""
TAKE_LINKS = 20
_CANCELLED = Cancelled()


@dataclass(frozen=True)
class Order:
    """The functions that need the workflow's definition.

    `app` knows no definitions, so `chains` passes these functions.

    `prepare(claim)` raises Permanent if the input of a step cannot be made. `dispatch(workflow_id,
    keys)` publishes steps whose publish_after the caller has set. `line_up(workflow_id, keys)`
    lines up those of them whose queue is backed up, and returns their keys.
    `one_message(workflow_id, keys)` returns the action of these steps if one message would carry
    them all, else None. `settle(workflow_id)` continues the undoing of a workflow that is stopping.
    `ended(workflow_id)` tells the parent of a child workflow that the child has ended.
    `hand_on()` gives the places to others that a workflow held which has ended.
    `top_up(queue)` publishes what is lined up for the queue, if few messages are left in it.
    """

    prepare: Callable[[Claim], Prepared]
    dispatch: Callable[[UUID, list[str]], None]
    line_up: Callable[[UUID, Sequence[str]], Set[str]]
    one_message: Callable[[UUID, tuple[str, ...]], str | None]
    settle: Callable[[UUID], None]
    ended: Callable[[UUID], None]
    hand_on: Callable[[], None]
    top_up: Callable[[str], None]


class Message:
    """The steps that one message runs in this process, one after the other."""

    def __init__(
        self,
        actions: Mapping[str, Action],
        order: Order,
        task: Task[..., Any],
        workflow_id: UUID,
    ) -> None:
        self.actions = actions
        self.order = order
        self.request: Any = task.request
        self.task = task
        self.links = Links(task)
        self.events = TakenEvents(task)
        self.workflow_id = workflow_id
        self.known = Known()
        self._ids: dict[str, str] = {}
        self.since = time.monotonic()
        self.claimed_at = self.since
        self.name = task.name
        """The Celery task of the step that runs now."""
        self.taken = 0
        self.claim: Claim | None = None
        """The last claim of this message."""
        self.is_own_step_done = False

    def run(self, keys: tuple[str, ...]) -> bool:
        """Run the message's own step with its siblings, then as many links as may be taken.

        Returns whether Celery shall treat the message's own step as done.
        """
        self.order.top_up(queue_of(undone_by(self.name)))
        found = self.begin(keys)
        while True:
            if isinstance(found, Claim) and not self.is_own(found.key):
                self.report_start(found.key)
            while isinstance(found, Claim):
                found = self.attempt(found)
            if found is None:
                return self.stay()
            taken = self.take_released(found)
            if taken is None:
                return self.end(found)
            found = self.begin(taken.keys)

    def begin(self, keys: tuple[str, ...]) -> Claim | Advance | None:
        """Claim one step. Several siblings are claimed, run and recorded at once, if possible.

        Steps that are known to be cancelled are left out.
        """
        keys = _CANCELLED.without(self.workflow_id, keys)
        if not keys:
            return None
        self.claimed_at = time.monotonic()
        if len(keys) > 1:
            advances = self.run_siblings(list(keys))
            if advances is not None:
                return self.taken_join(siblings.together(advances))
        found = self.claim_one(keys[0])
        if found is None:
            _CANCELLED.refused(self.workflow_id)
        return found

    def claim_one(self, key: str) -> Claim | Advance | None:
        """Claim one step of the action that runs now."""
        seconds = self.action().attempt_seconds
        return claims.claim_step(self.workflow_id, key, seconds, self.known)

    def taken_join(self, advance: Advance | None) -> Claim | Advance | None:
        """The claim of the join, if it was claimed with the end of its last part."""
        if advance is None or advance.claim is None:
            return advance
        following = self.links.next_join()
        assert following is not None
        self.links.take_join()
        self.take(following)
        return advance.claim

    def run_siblings(self, keys: list[str]) -> list[Advance] | None:
        """Run all siblings that can be claimed, and return what their outcomes led to.

        None means that none can be claimed, for example because this message is a duplicate and the
        siblings are recorded already.
        """
        action, prepare = self.action(), self.order.prepare
        seconds = action.attempt_seconds
        found = siblings.claim_siblings(self.workflow_id, keys, seconds, self.known)
        if not found.claims and not found.others:
            return None
        began = self.claimed_at
        ended = siblings.run_claimed(found.claims, action, prepare, began, self.join_seconds)
        for each in ended:
            if not self.is_own(each.claim.key):
                self.report_start(each.claim.key)
            self.report_end(each.claim.key, each.result, each.advance, began)
            if each.advance.claim is not None:
                self.claimed_at = each.since
        return [*(each.advance for each in ended), *map(self.run_alone, found.others)]

    def join_seconds(self) -> float | None:
        """The limit of an attempt of the join, if this message may run it after its siblings."""
        following = self.links.next_join() if self.links.has_chord() else None
        if following is None or len(following.keys) > 1 or not self.may_take(following):
            return None
        return self.actions[following.name].attempt_seconds

    def run_alone(self, key: str) -> Advance:
        """Claim, run and record one sibling that cannot be claimed together with others."""
        found = self.claim_one(key)
        if not isinstance(found, Claim):
            return found or Advance("fenced")
        self.claim = found
        began = time.monotonic()
        result = execute(found, self.action(), self.order.prepare, began)
        advance = record(found, result, fraction=random.random())
        if not self.is_own(key):
            self.report_start(key)
        self.report_end(key, result, advance, began)
        return advance

    def stay(self) -> bool:
        """Stop the canvas here. The reconciler, a wake or another worker continues the workflow.

        Returns whether the message's own step is done. If it is not, Celery reports it as ignored.
        """
        self.links.drop()
        return self.is_own_step_done

    def action(self, name: str | None = None) -> Action:
        """The action of a Celery task. The default is the task that runs now."""
        return self.actions[undone_by(name or self.name)]

    def attempt(self, claim: Claim) -> Claim | Advance:
        """Run and record one attempt of one step.

        Returns the claim of the next step if its link was taken, else what the outcome led to.
        """
        self.claim = claim
        began = self.claimed_at
        structlog.contextvars.bind_contextvars(step=claim.key)
        result = execute(claim, self.action(), self.order.prepare, began)
        following = self.following(result)
        self.claimed_at = time.monotonic()
        advance = (
            self.advance(claim, result, following)
            if following
            else record(claim, result, fraction=random.random())
        )
        self.report_end(claim.key, result, advance, began)
        if result.move is Moves.FINISH and advance.verdict != "fenced":
            result.finish.tell(claim)
        if advance.claim is None:
            return advance
        assert following is not None
        self.links.take()
        self.take(following)
        self.report_start(advance.claim.key)
        return advance.claim

    def is_own(self, key: str) -> bool:
        """Whether the message was published for this step, so that Celery sends its task events."""
        return bool(key == self.request.args[1])

    def report_start(self, key: str) -> None:
        """Send the task events for the start of a step that has no message of its own."""
        self.events.started(self.id_of(key), self.name, (str(self.workflow_id), key))

    def id_of(self, key: str) -> str:
        """Celery's task id of a step of the workflow."""
        if key not in self._ids:
            self._ids[key] = str(task_id(self.workflow_id, key))
        return self._ids[key]

    def report_end(self, key: str, result: Result, advance: Advance, began: float) -> None:
        """Send the task event for a step's end if Celery sends none. Log every end but success."""
        if advance.verdict == "fenced":
            return
        seconds = time.monotonic() - began
        if result.move is Moves.FINISH and self.is_own(key):
            self.is_own_step_done = True
        elif result.move is Moves.FINISH:
            self.events.succeeded(self.id_of(key), seconds)
        elif result.move is Moves.FAIL:
            # Celery sends no event for a task that raises Ignore.
            self.events.failed(self.id_of(key), str(result.error.get("message", "")))
        if result.move is not Moves.FINISH:
            log.info(
                "step.ended",
                step=key,
                action=self.name,
                outcome=result.move.value,
                code=result.error.get("code"),
                seconds=round(seconds, 3),
            )

    def may_take(self, following: Next) -> bool:
        """Whether this message may run one more link, and this worker may run `following`.

        A slow action would keep a process from the other messages that it could run, so a process
        takes none. A thread only waits meanwhile, and other threads run the other messages.
        """
        is_thread = is_in_thread_pool()
        most = THREAD_TAKE_SECONDS if is_thread else TAKE_SECONDS
        if self.taken >= TAKE_LINKS or time.monotonic() - self.since > most:
            return False
        if is_shutting_down() or following.name not in self.actions:
            return False
        is_slow = self.actions[following.name].slow and not is_thread
        return serves(self.task, following.queue) and not is_slow

    def following(self, result: Result) -> Next | None:
        """The next link, if it may be claimed by the statement that records this step."""
        if result.move is not Moves.FINISH or result.is_special:
            return None
        following = self.links.next_step()
        if following is None or len(following.keys) > 1 or not self.may_take(following):
            return None
        return following

    def take_released(self, advance: Advance) -> Next | None:
        """Make the released steps what this message runs next, and return them.

        Returns None if one message would not carry them all, or if this message may not run them.
        If the canvas leads to the steps, its links are taken; otherwise the rest of the canvas is
        dropped.
        """
        if advance.verdict not in {"released", "done"} or not advance.released:
            return None
        if self.links.leads_to(advance.released):
            following = self.links.next_step()
            take: Callable[[], None] = self.links.take
        elif advance.released == (advance.joined,) and self.links.has_chord():
            following = self.links.next_join()
            take = self.links.take_join
        else:
            name = self.order.one_message(self.workflow_id, advance.released)
            following = None if name is None else Next(name, advance.released)
            take = self.links.drop
        if following is None or not self.may_take(following):
            return None
        take()
        return self.take(following)

    def take(self, following: Next) -> Next:
        """Make `following` the step that this message runs next, and return it."""
        self.name = following.name
        self.taken += 1
        return following

    def advance(self, claim: Claim, result: Result, following: Next) -> Advance:
        """Record the step and claim the next link in one statement."""
        seconds = self.actions[following.name].attempt_seconds
        (key,) = following.keys
        return outcomes.advance_step(claim, result.attempt, result.finish.output, key, seconds)

    def end(self, advance: Advance) -> bool:
        """End the message, and make sure that the released steps run.

        If their queue is backed up, they are lined up. Otherwise Celery publishes them if the
        canvas leads to them, else they are published here.
        """
        if advance.verdict in {"draining", "undone"}:
            self.order.settle(self.workflow_id)
        if advance.verdict in {"draining", "undone", "fenced", "recorded"}:
            return self.stay()
        if advance.verdict == "child_completed":
            self.order.ended(self.workflow_id)
        if advance.has_flow:
            self.order.hand_on()
        lined_up = self.order.line_up(self.workflow_id, advance.released)
        released = tuple(key for key in advance.released if key not in lined_up)
        if advance.joined in released and self.links.has_chord():
            self.links.join()
        elif not released or not self.links.leads_to(released):
            self.links.drop()
            if released:
                self.order.dispatch(self.workflow_id, list(released))
        return True
