"""Runs one message's steps: claim, call, record, and the next link hand to hand.

Invariant: what a step did is in PostgreSQL before anything that follows it moves. A task never
raises and never uses Celery's retry, revoke or time limits: it returns (the canvas goes on) or
ignores (it stays).
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore

from app import claims
from app.attempt import Moves, Prepared, Result, execute
from app.claims import Advance, Claim
from app.errors import Unavailable
from app.links import Links, is_shutting_down
from app.platform import Action
from app.recording import record
from app.task_events import TakenEvents

log = structlog.get_logger()

TAKE_SECONDS = 1.0
TAKE_LINKS = 20


@dataclass(frozen=True)
class Order:
    """What the engine asks of those who know definitions; handed in, for `app` knows none.

    `prepare(claim)` raises Permanent when the input cannot be made. `dispatch(claim, keys)`
    publishes steps won before. `settle(workflow_id)` carries on a workflow that is stopping.
    `ended(workflow_id)` tells the parent of a child.
    """

    prepare: Callable[[Claim], Prepared]
    dispatch: Callable[[UUID, list[str]], None]
    settle: Callable[[UUID], None]
    ended: Callable[[UUID], None]


class Engine:
    """Binds actions to Celery tasks of their names."""

    def __init__(self, actions: Mapping[str, Action], order: Order) -> None:
        self.actions = actions
        self.order = order

    def register(self, app: Celery) -> None:
        """One task per action, named like it, and one per compensation (`<action>~undo`)."""
        for name, action in self.actions.items():
            self._register(app, name)
            if action.compensate is not None:
                self._register(app, f"{name}~undo")

    def _register(self, app: Celery, name: str) -> None:
        engine = self

        def step(task: Task[..., Any], workflow_id: str, key: str) -> None:
            # Raised here and nowhere deeper: Celery copies every frame that it passed.
            if not engine.run(task, workflow_id, key):
                raise Ignore

        app.task(name=name, bind=True, ignore_result=True)(step)

    def run(self, task: Task[..., Any], workflow_id: str, key: str) -> bool:
        """Run the step of a message, then as many links of its chain as may be taken; whether
        Celery shall take the message's own step for done."""
        structlog.contextvars.bind_contextvars(workflow=workflow_id, step=key)
        message = _Message(self, task, UUID(workflow_id))
        try:
            return message.run(key)
        except Unavailable as err:
            # The lease and the reconciler carry on.
            log.warning("step.left", error=err.message)
        except Exception as err:  # whatever it is, a task never raises
            # A fault of ours: the lease lapses, and the reconciler counts the crash.
            log.error("step.crashed", exc_info=err)
        finally:
            structlog.contextvars.clear_contextvars()
        return message.stay()


class _Message:
    """One message on its way through this worker."""

    def __init__(self, engine: Engine, task: Task[..., Any], workflow_id: UUID) -> None:
        self.engine = engine
        self.task = task
        self.request: Any = task.request
        self.links = Links(task)
        self.events = TakenEvents(task)
        self.workflow_id = workflow_id
        self.since = time.monotonic()
        self.taken = 0
        self.claimed_at = self.since
        self.taken_name = ""
        self.taken_id = ""
        self.is_own_step_done = False

    def run(self, key: str) -> bool:
        action = self.action(self.task.name)
        self.claimed_at = time.monotonic()
        found = claims.claim_step(self.workflow_id, key, action.attempt_seconds)
        while isinstance(found, Claim):
            found = self.attempt(found, action)
            if isinstance(found, Claim):
                action = self.action(self.taken_name)
        return self.stay() if found is None else self.leave(found)

    def stay(self) -> bool:
        """The canvas does not go on from here: the reconciler, a wake or another holder does it.

        Ignored is what Celery reports for the message's own step, unless that one is done.
        """
        self.links.drop()
        return self.is_own_step_done

    def action(self, task_name: str) -> Action:
        return self.engine.actions[task_name.removesuffix("~undo")]

    def attempt(self, claim: Claim, action: Action) -> Claim | Advance:
        """One attempt of one step; the next claim when a link was taken."""
        began = self.claimed_at
        result = execute(claim, action, self.engine.order.prepare, began)
        following = self.following(result)
        self.claimed_at = time.monotonic()
        advance = (
            self.advance(claim, result, *following)
            if following
            else record(claim, result, fraction=random.random())
        )
        if result.move is Moves.FAIL and advance.verdict != "fenced":
            # Celery sends nothing for what it is told to ignore.
            message = str(result.error.get("message", ""))
            self.events.failed(self.taken_id or self.request.id, message)
        if result.move is Moves.FINISH and advance.verdict != "fenced":
            self.is_own_step_done = True
            if claim.key != self.request.args[1]:
                self.events.succeeded(self.taken_id, time.monotonic() - began)
        if advance.claim is None:
            return advance
        self.take(advance.claim)
        return advance.claim

    def following(self, result: Result) -> tuple[str, str] | None:
        """(action, key) of the next link, if it may be taken now."""
        if result.move is not Moves.FINISH or result.is_special or is_shutting_down():
            return None
        if self.taken >= TAKE_LINKS or time.monotonic() - self.since > TAKE_SECONDS:
            return None
        following = self.links.next_step()
        if following is None or following[0] not in self.engine.actions:
            return None
        return None if self.engine.actions[following[0]].slow else following

    def advance(self, claim: Claim, result: Result, name: str, key: str) -> Advance:
        seconds = self.engine.actions[name].attempt_seconds
        return claims.advance_step(claim, result.attempt, result.finish.output, key, seconds)

    def take(self, claim: Claim) -> None:
        link = self.request.chain[-1]
        self.links.take()
        self.taken_name = str(link["task"])
        self.taken_id = link["options"]["task_id"]
        self.taken += 1
        structlog.contextvars.bind_contextvars(step=claim.key)
        self.events.started(self.taken_id, self.taken_name, (str(self.workflow_id), claim.key))

    def leave(self, advance: Advance) -> bool:
        """Let the canvas go on where it leads to what was released; else see to it here."""
        if advance.verdict in {"draining", "undone"}:
            self.engine.order.settle(self.workflow_id)
        if advance.verdict in {"draining", "undone", "fenced", "recorded"}:
            return self.stay()
        if advance.verdict == "child_completed":
            self.engine.order.ended(self.workflow_id)
        released = advance.released
        if advance.joined is not None and self.links.has_chord():
            self.links.join()
        elif not released or not self.links.leads_to(released):
            self.links.drop()
            if released:
                self.engine.order.dispatch(self.workflow_id, list(released))
        return True
