"""Let one of several models answer, with a bar for what it answers.

Invariant: each response has a call of its own, whose recorded request has the decision that led to
it (tasks/routing). Another model is asked only after a definite refusal, or after an answer that is
known, paid and below the bar; never while it is unknown what became of a call.
"""

import time
from dataclasses import dataclass, field

from app.engine.call import Call
from app.errors import Outcome, Permanent, Retryable, Suspend
from app.payload import clean
from app.platform import Intent, Json
from app.tariffs import current, paces
from tasks import tariffs
from tasks.openai.costs import most
from tasks.openai.responses import answers, calls, gate, judging
from tasks.openai.responses.calls import CREATE
from tasks.openai.responses.ended import PAUSES, is_free, note_pace, spend, watched
from tasks.openai.responses.inputs import RespondInput, model_of
from tasks.openai.responses.requests import body_of, most_read, pictures_of, request_of, sent
from tasks.routing import inputs, made, refusals
from tasks.routing.route import Passed, Route, begun, nothing_left

_MOST_ANSWERS = 30
"""So many answers a step asks for, refused ones included; then it asks the last model alone."""


def is_routed(given: RespondInput) -> bool:
    """Whether a step has several models or a bar."""
    return given.route is not None or given.quality is not None


def answered(call: Call, given: RespondInput) -> Json:
    """The answer of the first model that gives one which passes, with its `route` and `score`.

    Raises Permanent `quality` if none does, `model_ended` if all models have ended and
    `no_model_left` if none can be asked. If models have no room, raises what says when to ask
    again.
    """
    last = made.last_call(call, CREATE)
    if last is None:
        route, ordinal = _first(call, given), 0
    else:
        route, ordinal = made.route_of(last), last.ordinal
    trip = _Trip(call, given, time.monotonic())
    for _ in range(_MOST_ANSWERS):
        found = trip.visit(route, ordinal)
        if not isinstance(found, Route):
            return found
        route, ordinal = found, ordinal + gate.CALLS
    raise Retryable("the step has asked many models in vain", code="no_room")


@dataclass
class _Trip:
    """One attempt on the way over the models. `asked` are those that it has asked, and `waiting`
    the errors of those that have no room now."""

    call: Call
    given: RespondInput
    since: float
    asked: set[str] = field(default_factory=set)
    waiting: list[Outcome] = field(default_factory=list)

    def visit(self, route: Route, ordinal: int) -> Json | Route:
        """The answer of the route's model, or the route to the next. Raises what ends the
        attempt."""
        try:
            seen = self._ask(route, ordinal)
        except Outcome as err:
            return self._refused(route, ordinal, err)
        last = made.last_call(self.call, CREATE)
        assert last is not None
        if last.request["background"]:
            # As an answer at once is cleaned when it is recorded: the gate's calls record it.
            seen = clean(watched(self.call, str(seen["id"]), last.request))
        seen["tier"] = seen["tier"] or last.request["service_tier"]
        spend(self.call, seen, last.request)
        note_pace(route.model, seen)
        if answers.has_failed_for_now(seen) and is_free(seen):
            return self._failed(route, ordinal, last, seen)
        return self._judged(route, ordinal, seen, last.request["max_output_tokens"])

    def _ask(self, route: Route, ordinal: int) -> Json:
        call = self.call
        call.at(ordinal)
        request = request_of(call, self.given)
        request |= {"model": route.model, made.FIELD: route.record()}
        pictures = {} if self._is_sent(ordinal) else pictures_of(call, request)
        return call.once(CREATE, request, lambda r, key: calls.create(sent(r, pictures), key))

    def _is_sent(self, ordinal: int) -> bool:
        """Whether the call was made, or may have been, so that no picture is read again."""
        last = made.last_call(self.call, CREATE) if self.given.images else None
        return last is not None and (last.ordinal, last.resolution) in (
            (ordinal, None),
            (ordinal, "accepted"),
        )

    def _refused(self, route: Route, ordinal: int, err: Outcome) -> Route:
        wait = self.given.route.wait_seconds if self.given.route else 0.0
        passed = refusals.passed_over(err, route.model, wait)
        if passed is None or len(route.order) == 1 or self.call.open_intents():
            raise err
        if not passed.is_final:
            self.waiting.append(err)
        return self._past(route, ordinal, passed, err)

    def _failed(self, route: Route, ordinal: int, last: Intent, seen: Json) -> Route:
        """A response has failed for a reason that passes, and has cost nothing: the next model is
        asked, or after a pause the same one, if there is no other."""
        error = seen["error"]
        why = f"the response failed: {error['message']}"[:300]
        passed = Passed(route.model, "failed", why)
        if route.past(passed, self.asked) is not None or route.times > len(PAUSES):
            failure = Permanent(why, code=f"response_{error['code']}")
            return self._past(route, ordinal, passed, failure)
        left = PAUSES[route.times - 1] - self.call.age_seconds(last)
        if left <= 0:
            return route.again()
        if last.request["background"]:
            raise Suspend(seen["id"], poll_seconds=left)
        raise Retryable(why, code=error["code"], after=left)

    def _judged(self, route: Route, ordinal: int, seen: Json, most_tokens: int) -> Json | Route:
        try:
            answer = gate.form(self.given, seen, most_tokens)
        except Permanent as err:
            passed = gate.poor(err, route.model)
            if passed is None:
                raise
            return self._past(route, ordinal, passed, err)
        found, score = gate.missed(self.call, self.given, seen, answer, ordinal, self.since)
        if not found:
            return answers.told(seen, answer) | {"route": route.shown(), "score": score}
        return self._past(route, ordinal, gate.below_bar(found, route.model), None)

    def _past(self, route: Route, ordinal: int, passed: Passed, err: Outcome | None) -> Route:
        """The route to the next model. Raises what ends the attempt if there is none."""
        self.asked.add(route.model)
        following = route.past(passed, self.asked)
        if following is not None and ordinal < (_MOST_ANSWERS - 1) * gate.CALLS:
            gate.require_time(self.since)
            made.tell(self.call, passed)
            return following
        if self.waiting:
            raise made.soonest(self.waiting)
        if err is not None and len(route.order) == 1:
            raise err
        raise nothing_left((*route.passed, passed))


def _first(call: Call, given: RespondInput) -> Route:
    """The decision before the first call. Raises Permanent if no model can be asked."""
    for model, where in gate.models_of(given.quality):
        tariffs.require_alive(call, "openai", model, operation=CREATE, setting=where)
    if given.route is None:
        where = "the step's `model`, or OPENAI_RESPOND_MODEL"
        tariffs.require_alive(call, "openai", model_of(given), operation=CREATE, setting=where)
        return begun((model_of(given),), ())
    body, today = body_of(given), call.now().date()
    known = paces.of("openai") if given.route.policy == "fastest" else {}
    order = inputs.ordered(given.route, lambda model: _price(body, model), known)
    book, passed = tariffs.book("openai"), []
    for model in order:
        passed.append(inputs.ended("openai", model, book.has_ended(model, today)))
        passed.append(inputs.above_cap(model, _price(body, model), given.route.cap_micro_usd))
    over = [each for each in passed if each is not None]
    route = begun(order, over)
    made.tell(call, *over)
    return route


def ceiling(given: RespondInput) -> int:
    """The most that a step costs: all its models answer, and all answers are judged."""
    body, today = body_of(given), current.today()
    models, cap = [model_of(given)], None
    if given.route is not None:
        book, cap = tariffs.book("openai"), given.route.cap_micro_usd
        models = [each for each in given.route.models if book.has_ended(each, today) is None]
    prices = [_price(body, each) for each in models]
    counted = [each for each in prices if cap is None or each <= cap]
    return sum(counted) + len(counted) * _judgement(given)


def _price(body: Json, model: str) -> int:
    # Models read the same picture as different numbers of tokens.
    read, written = most_read({**body, "model": model}), body["max_output_tokens"]
    return most(model, read, written, body["service_tier"])


def _judgement(given: RespondInput) -> int:
    judge = given.quality.judge if given.quality is not None else None
    if judge is None:
        return 0
    request = judging.request_of(given, judge)
    read = most_read(request) + judging.most_read(given)
    return most(request["model"], read, judge.max_output_tokens, request["service_tier"])


def decides(given: RespondInput) -> Json:
    """What of the models and the bar decides the answer, for an equal request."""
    if not is_routed(given):
        return {}
    judging_models = [model for model, _ in gate.models_of(given.quality)]
    return given.model_dump(include={"route", "quality"}) | {"judging_models": judging_models}
