"""The calls that a step has made on its route, and the events that tell why it has left a model."""

from app.engine.call import Call
from app.errors import NotServed, Outcome, Retryable
from app.platform import Intent
from app.protocol import intents
from app.protocol.claims import Fenced
from app.protocol.passing_over import tell_passed_over
from tasks.routing.route import Passed, Route, recorded

FIELD = "route"
"""The field of a recorded request that has the route. It is never sent."""


def last_call(call: Call, operation: str) -> Intent | None:
    """The newest call of an operation in this generation of the step, whatever became of it."""
    call.record_held()
    known = intents.intents(call.workflow_id, call.step_key)
    wanted = operation, call.generation
    made = [each for each in known if (each.operation, each.generation) == wanted]
    return made[-1] if made else None


def route_of(intent: Intent) -> Route:
    """The decision that was recorded with a call."""
    return recorded(intent.request[FIELD])


def tell(call: Call, *passed: Passed) -> None:
    """Tell in the workflow's events that models are passed over. Raises Fenced if the step's claim
    is lost."""
    call.record_held()
    for each in passed:
        if not tell_passed_over(call.claim, each.model, each.code, each.checks):
            raise Fenced


def soonest(waiting: list[Outcome]) -> Outcome:
    """Of the errors of models that have no room, that of the one that has it first."""

    def after(err: Outcome) -> float:
        return (err.after or 0.0) if isinstance(err, (NotServed, Retryable)) else 0.0

    return min(waiting, key=after)
