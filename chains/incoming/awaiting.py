"""The action of a wait for an event.

Its input has what the filter reads of the workflow, so that all attempts wait for the same.
"""

from datetime import datetime
from functools import partial

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.keys import event_wait_id
from app.platform import Action, ActionInput, Effect, Json
from chains.incoming.waiting import look_at_once, look_for_the_last_time
from chains.language.event_filters import key_of
from chains.plans.plan import EVENT
from chains.running.waits import now


class EventInput(ActionInput):
    """The event to wait for, with the values that its filter reads beside it, and until when."""

    type: str
    filter: str | None
    given: Json = Field(default_factory=dict)
    within_seconds: float
    until: str
    on_timeout: str


def await_event(call: Call, given: EventInput) -> Json:
    """Return the event, and `is_timed_out`.

    Raise Suspend while there is no event, and Permanent if a time-out fails the step.
    """
    own = event_wait_id(call.workflow_id, call.step_key, call.generation)
    taken = call.deliveries(own)
    if taken:
        return {**taken[0], "is_timed_out": False}
    until = datetime.fromisoformat(given.until)
    if now() < until:
        raise Suspend(own, until=until, event=awaited(given), after=partial(look_at_once, own))
    late = None if call.is_rehearsed else look_for_the_last_time(own, until)
    if late is not None:
        return {**late, "is_timed_out": False}
    if given.on_timeout == "fail":
        words = f"no event {given.type} came by {given.until}"
        raise Permanent(f"{words} that the wait takes", code="event_timed_out")
    return {"is_timed_out": True}


def awaited(given: EventInput) -> Json:
    """The event as `wait_for_event_v1` takes it."""
    facts = given.model_dump(include={"type", "filter", "given", "within_seconds"})
    return {**facts, "key": key_of(given.filter, given.given)}


ACTION = Action(EVENT, EventInput, await_event, Effect.NONE, attempt_seconds=30.0)
