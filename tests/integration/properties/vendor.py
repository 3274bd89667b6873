"""A vendor in memory, with books of its own: what happened there, whatever our rows say.

It dedupes by idempotency key and can be looked up; what goes wrong with a call is said beforehand.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from pydantic import ConfigDict

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend, Unknown
from app.platform import (
    Action,
    ActionInput,
    CannotTell,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
)

FAULTS = (
    "none",
    "none",
    "refused",
    "limited",
    "lost_reply",
    "reset",
    "killed_before",
    "killed_after",
    "killed_answered",
)


CEILING = 10
"""The most that a paid step may cost, in micro-USD."""
COST = 7
UNDO_COST = 3
"""What a job has cost that was stopped before it had ended."""


class Killed(BaseException):
    """The process dies here."""


class AnyInput(ActionInput):
    """Anything."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


@dataclass
class Done:
    """One effect: of which step, under which key, and whether it was undone."""

    workflow_id: UUID
    step: str
    is_undone: bool = False


def external_id(key: str) -> str:
    """The vendor's id of what was made under a key."""
    return f"job_{key[:16]}"


@dataclass
class Vendor:
    """`fault` and `meanwhile` befall the next call only, `is_busy` the next look at a job."""

    books: dict[str, Done] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    fault: str = "none"
    is_lagging: bool = False
    is_busy: bool = False
    meanwhile: Callable[[], None] | None = None
    is_dying: bool = False
    """Whether the process dies with the answer in its hand."""

    def actions(self) -> dict[str, Action]:
        """The two actions, under names that definitions know."""
        return {made.name: made for made in (self._pay(), self._job())}

    def _pay(self) -> Action:
        def run(call: Call, given: ActionInput) -> Json:
            paid = call.once("charge", {}, lambda _, key: self._make(call, key), is_last=True)
            self._die()
            call.spend(COST)
            return paid

        made = Action(
            "stripe.capture", AnyInput, run, Effect.LOOKUP, tries=3, key_life=timedelta(days=1)
        )
        made.compensate, made.lookup = self._undo, self._find
        made.ceiling = lambda _: CEILING
        return made

    def _job(self) -> Action:
        def run(call: Call, given: ActionInput) -> Json:
            known = call.external_id
            if known is None:
                known = call.once("create", {}, lambda _, key: self._make(call, key))["id"]
                self._die()
            is_busy, self.is_busy = self.is_busy, False
            if is_busy:
                raise Retryable("busy", code="busy")
            if known not in self.finished:
                raise Suspend(known, poll_seconds=60.0)
            call.spend(COST, of=known)
            return {"id": known}

        made = Action("replicate.predict", AnyInput, run, Effect.LOOKUP, tries=3)
        made.compensate, made.lookup = self._undo, self._find
        made.ceiling = lambda _: CEILING
        return made

    def _make(self, call: Call, key: str) -> Json:
        def effect() -> None:
            self.books.setdefault(key, Done(call.workflow_id, call.original_key))

        return self._call(effect) | {"id": external_id(key)}

    def _undo(self, call: Call, undo: Undo) -> Json:
        def effect() -> None:
            for done in self.books.values():
                if (done.workflow_id, done.step) == (call.workflow_id, undo.step_key):
                    done.is_undone = True

        done = call.once("refund", {}, lambda _, key: self._call(effect), is_last=True)
        self._die()
        if undo.status == "cancelled":
            call.spend(UNDO_COST)
        return done

    def _find(self, call: Call, intent: Intent) -> LookupAnswer:
        is_lagging, self.is_lagging = self.is_lagging, False
        if is_lagging:
            return CannotTell(5.0, "search lags")
        return Found({"id": external_id(intent.key)}) if intent.key in self.books else Never()

    def _call(self, effect: Callable[[], None]) -> Json:
        fault, self.fault = self.fault, "none"
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if fault == "killed_before":
            raise Killed
        if fault == "refused":
            raise Permanent("declined", code="declined")
        if fault == "limited":
            raise Retryable("limited", code="limited")
        if fault != "reset":
            effect()
        if fault == "killed_after":
            raise Killed
        if fault in {"reset", "lost_reply"}:
            raise Unknown("no reply")
        self.is_dying = fault == "killed_answered"
        return {}

    def _die(self) -> None:
        is_dying, self.is_dying = self.is_dying, False
        if is_dying:
            raise Killed
