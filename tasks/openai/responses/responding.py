"""Let a model answer: a text or structured data, at once or in the background.

Invariant: each response that a step asks for has a call of its own, and carries the reference of
the step in its metadata. Another one is asked for only if the last has failed for a reason that
passes and has cost nothing. So a step pays for one response, and for those that were lost.

OpenAI has neither idempotency keys nor a list of responses. A response in the background whose
answer was lost is found by its webhook, which is read at OpenAI for its metadata (adopting.py). If
none comes in time, and for an answer at once, the call is written off and made again.
https://developers.openai.com/api/docs/guides/background
"""

from typing import Any

from app.engine.call import Call
from app.errors import Retryable, Suspend
from app.platform import ActionOutput, Effect, Intent, Json, Made, Reuse, action
from tasks import tariffs
from tasks.openai.responses import answers, calls, routed
from tasks.openai.responses.calls import CREATE
from tasks.openai.responses.ended import (
    PAUSES,
    is_free,
    lost_cost,
    note_pace,
    spend,
    watched,
)
from tasks.openai.responses.inputs import RespondInput, model_of
from tasks.openai.responses.requests import body_of, pictures_of, request_of, sent
from tasks.openai.settings import OpenAISettings
from tasks.reuse import account_of, age_seconds
from tasks.routing.inputs import ModelAsked
from tasks.signatures import text_at

_MAKING_SECONDS = 600.0


def _names(operation: str, response: Json) -> Made:
    if operation != CREATE:
        return Made()  # nothing of it is kept at OpenAI
    return Made(effect_id=text_at(response, "id"))


@action(
    "openai.respond",
    input=RespondInput,
    effect=Effect.LOOKUP,
    attempt_seconds=60.0,
    slow=True,
    names=_names,
)
def respond(call: Call, given: RespondInput) -> Json:
    """Let a model answer: {text, answer, response, model, tier, tokens}.

    Raises Permanent `cut_off` if the answer needs more tokens, `refused` if it is refused for its
    content, `answer_invalid` if it has not the form of `answer_schema`, and `response_<code>` with
    OpenAI's code if the response has failed. With a `route` or `quality`, see routed.py.
    """
    if routed.is_routed(given):
        return routed.answered(call, given)
    return _answered(call, given, max(1, len(_asked(call))))


def _asked(call: Call) -> list[Intent]:
    """The calls of this generation that OpenAI has answered."""
    made = call.sendings(CREATE)
    return [
        each for each in made if (each.generation, each.resolution) == (call.generation, "accepted")
    ]


def _is_sent(call: Call, number: int) -> bool:
    """Whether the response of this number was asked for, or may have been."""
    made = call.sendings(CREATE)
    return any((each.generation, each.ordinal) == (call.generation, number - 1) for each in made)


def _answered(call: Call, given: RespondInput, number: int) -> Json:
    """What follows from the response of this number, from 1 on, which is asked for if it was not.

    Raises Suspend while it is made in the background.
    """
    where = "the step's `model`, or OPENAI_RESPOND_MODEL"
    tariffs.require_alive(call, "openai", model_of(given), operation=CREATE, setting=where)
    call.at(number - 1)
    request = request_of(call, given)
    # Read before the call is recorded: an error after that would make it a call that may be paid.
    pictures = {} if _is_sent(call, number) else pictures_of(call, request)
    seen = call.once(CREATE, request, lambda r, key: calls.create(sent(r, pictures), key))
    intent = _asked(call)[-1]
    if intent.request["background"]:
        seen = watched(call, str(seen["id"]), intent.request)
    return _ended(call, given, intent, seen, number)


def _ended(call: Call, given: RespondInput, intent: Intent, seen: Json, number: int) -> Json:
    """What follows from the response of this number, which has ended."""
    seen["tier"] = seen["tier"] or intent.request["service_tier"]
    spend(call, seen, intent.request)
    note_pace(intent.request["model"], seen)
    error = seen["error"] or {}
    is_passing = seen["status"] == "failed" and error.get("code") in answers.PASSING
    if is_passing and number <= len(PAUSES) and is_free(seen):
        left = PAUSES[number - 1] - call.age_seconds(intent)
        if left <= 0:
            return _answered(call, given, number + 1)
        if intent.request["background"]:
            raise Suspend(seen["id"], poll_seconds=left)
        raise Retryable(f"the response failed: {error['message']}", code=error["code"], after=left)
    answers.require_whole(seen, intent.request["max_output_tokens"])
    return answers.output_of(seen, given.answer_schema)


class Tokens(ActionOutput):
    """The tokens that were read, those of them that came from a cache or were written to one, the
    tokens that were written, and those of them that the model only thought."""

    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int


class Response(ActionOutput):
    """What the model has written: `text`, and `answer`, which is that text by `answer_schema`.

    `response` is its id at OpenAI. It is null if the step has taken it from an equal step (see
    `cache`). `route` are the models that were asked or passed over, the one that has answered last;
    it is empty if the step named none. `score` are the points of the judge, if there is one.
    """

    text: str
    answer: Any
    response: str | None
    model: str
    tier: str | None
    tokens: Tokens
    route: tuple[ModelAsked, ...] = ()
    score: int | None = None


respond.describe(
    output=Response,
    example={
        "input": "Summarise: the show begins at eight, the doors open at seven.",
        "answer_schema": {
            "type": "object",
            "properties": {"summary": {"type": "string"}},
            "required": ["summary"],
            "additionalProperties": False,
        },
    },
)


def _account() -> Json:
    settings = OpenAISettings.current()
    return account_of(settings.base_url, settings.api_key)


def _equal_request(call: Call, given: RespondInput) -> Json:
    pictures = [each.artifact for each in given.images if each.artifact is not None]
    digests = [call.artifacts.digest(each) for each in pictures]
    body = body_of(given)
    for message in body["input"]:
        for part in message["content"]:
            part.pop("artifact", None)
    # What is asked is the same in the background and at another level of service.
    return {name: each for name, each in body.items() if name != "service_tier"} | {
        "pictures": digests,
        **routed.decides(given),
    }


respond.reuse = Reuse(
    account=_account,
    request=_equal_request,
    seconds=lambda given: age_seconds(given, OpenAISettings.current().cache_seconds),
    making_seconds=lambda: _MAKING_SECONDS,
    # The response belongs to the step that has made it, which alone may look at it or delete it.
    adopt=lambda _, output: output | {"response": None},
)


@respond.costs_at_most
def respond_ceiling(given: RespondInput) -> int:
    """The cost of the one response that is paid for, if it writes as much as it may; with several
    models or a judge, of one of each model and of its judgement."""
    return routed.ceiling(given)


respond.costs_if_lost(lost_cost)
