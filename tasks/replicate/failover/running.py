"""Run one of several models that do the same job: the next one if a model cannot be run, or is
found not to work.

Invariant: another model is asked only after a definite refusal of the call, or after a prediction
that has ended; never while it is unknown what became of one. Each prediction has a call of its own,
whose recorded request has the decision that led to it (tasks/routing).

A prediction that has failed may be paid for. So a step may cost the sum of all its models.
"""

import re
from dataclasses import dataclass, field, replace

from app.engine.call import Call
from app.errors import Permanent, Suspend, Unknown
from app.payload import clean
from app.platform import Intent, Json, Undo
from app.protocol import intents
from tasks import tariffs
from tasks.replicate import asking, pricing
from tasks.replicate.asking import PredictInput
from tasks.replicate.client import ReplicateApi
from tasks.replicate.failover.alternatives import Alternative, adapted, picked
from tasks.replicate.failover.ended import book, unsuccessful
from tasks.replicate.finding import CREATE
from tasks.replicate.settings import ReplicateSettings
from tasks.routing import inputs, made, refusals
from tasks.routing.route import Passed, Route, begun, nothing_left
from tasks.signatures import text_at

_DOWN = re.compile(
    r"\bE(1000|1001|6716|8765|9243)\b|cuda out of memory|failed to complete setup|setup failed"
    r"|has been disabled|queue reached limit",
    re.IGNORECASE,
)
"""What Replicate says of a model that does not work, whatever it is given: its codes, and its words
for the same. https://replicate.com/docs/reference/error-codes"""


@dataclass(frozen=True)
class Succeeded:
    """A prediction that has succeeded, and what the output of the step says of the route to it."""

    prediction: str
    seen: Json
    route: list[Json] = field(default_factory=list)


def succeeded(call: Call, given: PredictInput, replicate: ReplicateApi) -> Succeeded:
    """The prediction of the first model that makes one.

    Raises Suspend while one runs, Permanent as `predict` does, and `model_ended` or `no_model_left`
    if no model is left.
    """
    last = made.last_call(call, CREATE)
    route = _first(call, given) if last is None else made.route_of(last)
    uploaded = _Uploads(call, given, replicate)
    for _ in route.order:
        alternative = alternative_of(given, route.model)
        try:
            last = _begun(route, alternative, uploaded, last)
        except Permanent as err:
            passed = refusals.passed_over(err, route.model, 0.0)
            if passed is None or call.open_intents():
                raise
            route, last = _past(call, route, passed), made.last_call(call, CREATE)
            continue
        known = text_at(last.response or {}, "id") or ""
        seen = _watched(call, known, replicate)
        is_left = _is_down(seen, alternative) and len(route.passed) + 1 < len(route.order)
        book(call, known, seen, alternative.name, [last], goes_on=is_left)
        if seen["status"] == "succeeded":
            if seen["output"] is not None:
                seen["output"] = picked(seen["output"], alternative.pick)
            return Succeeded(known, seen, route.shown())
        failure = unsuccessful(known, seen)
        if not _is_down(seen, alternative):
            raise failure
        why = clean(f"it does not work: {failure.message}"[:300])
        route = _past(call, route, Passed(route.model, "down", why))
    raise nothing_left(route.passed)


def alternative_of(given: PredictInput, name: str) -> Alternative:
    """The alternative of this name. Raises Permanent if the step has none such any more."""
    for each in given.models or ():
        if each.name == name:
            return each
    raise Permanent(f"the step does not name {name} any more", code="model_unsuitable")


def paid_for(given: Json, sent: tuple[Intent, ...], prediction: str) -> str | None:
    """The model that a prediction of a step with several models has run; None for other steps."""
    if not given.get("models"):
        return None
    for intent in reversed(sent):
        if intent.operation == CREATE and (intent.response or {}).get("id") == prediction:
            return made.route_of(intent).model
    routed = [each for each in sent if each.operation == CREATE]
    return made.route_of(routed[-1]).model if routed else None


def of_last_model(undo: Undo) -> Undo:
    """The record of a step to undo; without the id for which it has waited, if it has several
    models.

    That may be the prediction of an earlier model, which has ended, while that of the last call
    runs or is unknown. An orphan is what its id names.
    """
    is_routed = bool((undo.input or {}).get("models")) and not undo.is_orphan
    made_any = any(each.operation == CREATE for each in undo.intents)
    return replace(undo, external_id=None) if is_routed and made_any else undo


def ceiling(given: PredictInput, timeout_seconds: float) -> int:
    """The most that a step may cost: a prediction of each of its models."""
    return sum(pricing.most(each.name, timeout_seconds) for each in given.models or ())


@dataclass
class _Uploads:
    """The files of the step, which are uploaded once, also for several models.

    If the step was held until they have expired, they are uploaded again, by calls of their own.
    """

    call: Call
    given: PredictInput
    replicate: ReplicateApi
    made: Json | None = None
    begins: int = 0

    def addresses(self) -> Json:
        """The addresses of the files by the names of their roles."""
        if self.made is None:
            self.begins = self._begin()
            self.call.at(self.begins)
            self.made = asking.uploads(self.call, self.given, self.replicate)
        return self.made

    def _begin(self) -> int:
        """The number of the call that uploads the first file."""
        call, roles = self.call, asking.roles(self.given)
        if not roles:
            return 0
        call.record_held()
        known = intents.intents(call.workflow_id, call.step_key)
        own = [each for each in known if each.generation == call.generation]
        first = f"files.create#{next(iter(roles))}"
        begun = [each for each in own if each.operation == first]
        if not begun:
            return max((each.ordinal + 1 for each in own), default=0)
        is_over = call.age_seconds(begun[-1]) > asking.FILE_SECONDS
        is_kept = begun[-1].resolution == "accepted"
        return own[-1].ordinal + 1 if is_over and is_kept else begun[-1].ordinal


def _begun(
    route: Route, alternative: Alternative, uploaded: _Uploads, last: Intent | None
) -> Intent:
    """The call that has begun the prediction of the route's model, which is made if it was not."""
    call, given, replicate = uploaded.call, uploaded.given, uploaded.replicate
    is_known = last is not None and made.route_of(last) == route
    if last is not None and is_known and last.resolution == "accepted":
        return last
    if last is not None and is_known and last.resolution is None:
        raise Unknown(f"{CREATE} may have happened; it must be looked up before it is sent")
    asking.require_own(call, alternative)
    runs = asking.target(given, replicate, alternative)
    _require_alive(call, runs.name)
    names = asking.names_of(runs, given, alternative)
    own = {**(given.input or {}), **uploaded.addresses()}
    fitted = alternative.model_copy(update={"rename": {**names, **alternative.rename}})
    if last is not None and last.ordinal >= uploaded.begins:
        call.at(last.ordinal if is_known else last.ordinal + 1)
    request = asking.request_of(call, given, runs, adapted(own, fitted))
    # Predictions of two models may have the same inputs, so the lifetime tells them apart.
    request |= {"is_marked": True, made.FIELD: route.record()}
    call.once(CREATE, request, lambda r, _key: replicate.create_prediction(r))
    begun_by = made.last_call(call, CREATE)
    assert begun_by is not None
    return begun_by


def _watched(call: Call, prediction: str, replicate: ReplicateApi) -> Json:
    """A prediction that has ended. Raises Suspend while it has not."""
    pause = ReplicateSettings.current().poll_seconds
    if call.external_id != prediction:
        raise Suspend(prediction, poll_seconds=pause)
    seen = call.state_of(prediction, lambda: replicate.prediction(prediction), pause)
    if seen["is_running"]:
        raise Suspend(prediction, poll_seconds=pause)
    return seen


def _first(call: Call, given: PredictInput) -> Route:
    today, over = call.now().date(), []
    for each in given.models or ():
        end = tariffs.book("replicate").has_ended(each.name, today) if each.model else None
        over.append(inputs.ended("replicate", each.name, end))
    passed = [each for each in over if each is not None]
    route = begun(tuple(each.name for each in given.models or ()), passed)
    made.tell(call, *passed)
    return route


def _past(call: Call, route: Route, passed: Passed) -> Route:
    following = route.past(passed, ())
    if following is None:
        raise nothing_left((*route.passed, passed))
    made.tell(call, passed)
    return following


def _require_alive(call: Call, model: str) -> None:
    """Raise Permanent `model_ended` if the version that would be run has ended."""
    end = tariffs.book("replicate").has_ended(model, call.now().date())
    over = inputs.ended("replicate", model, end)
    if over is not None:
        raise Permanent(over.why, code="model_ended")


def _is_down(seen: Json, alternative: Alternative) -> bool:
    if seen["status"] != "failed":
        return False
    said = str(seen["error"] or "")
    own = any(words.casefold() in said.casefold() for words in alternative.is_down)
    return own or _DOWN.search(said) is not None
