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
from app.errors import Permanent, Retryable, Suspend
from app.platform import ActionOutput, Effect, Intent, Json, Made, Reuse, action
from tasks import tariffs
from tasks.openai.costs import cost, most
from tasks.openai.responses import answers, calls
from tasks.openai.responses.calls import CREATE
from tasks.openai.responses.inputs import RespondInput, model_of
from tasks.openai.responses.requests import body_of, most_read, pictures_of, request_of, sent
from tasks.openai.settings import OpenAISettings
from tasks.reuse import account_of, age_seconds
from tasks.signatures import text_at

_PAUSES = (5.0, 30.0)
"""The seconds from a failed response to the next, of which there are so many."""
_MAKING_SECONDS = 600.0


def _names(operation: str, response: Json) -> Made:
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
    OpenAI's code if the response has failed.
    """
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
        seen = _watched(call, str(seen["id"]), intent.request)
    return _ended(call, given, intent, seen, number)


def _watched(call: Call, response: str, request: Json) -> Json:
    """A response in the background that has ended. Raises Suspend while it has not.

    Raises Permanent `response_lost` if OpenAI shows it no more. Then the most is booked that it may
    have cost.
    """
    pause = OpenAISettings.current().poll_seconds
    if call.external_id != response:
        raise Suspend(response, poll_seconds=pause)
    try:
        seen = call.state_of(response, lambda: calls.retrieve(response), pause)
    except Permanent as err:
        assume(call, response, request)
        raise Permanent(
            "OpenAI does not show the response any more, so its answer is lost, and the most that"
            f" it may have cost is booked: {err.message}",
            code="response_lost",
            detail={"response": response},
        ) from err
    if seen["is_running"]:
        raise Suspend(response, poll_seconds=pause)
    return seen


def _ended(call: Call, given: RespondInput, intent: Intent, seen: Json, number: int) -> Json:
    """What follows from the response of this number, which has ended."""
    seen["tier"] = seen["tier"] or intent.request["service_tier"]
    spend(call, seen, intent.request)
    error = seen["error"] or {}
    is_passing = seen["status"] == "failed" and error.get("code") in answers.PASSING
    if is_passing and number <= len(_PAUSES) and _is_free(seen):
        left = _PAUSES[number - 1] - call.age_seconds(intent)
        if left <= 0:
            return _answered(call, given, number + 1)
        if intent.request["background"]:
            raise Suspend(seen["id"], poll_seconds=left)
        raise Retryable(f"the response failed: {error['message']}", code=error["code"], after=left)
    answers.require_whole(seen, intent.request["max_output_tokens"])
    return answers.output_of(seen, given.answer_schema)


def _is_free(seen: Json) -> bool:
    """Whether a response has cost nothing. What a model has read is paid, although it failed."""
    return not seen["input_tokens"] and not seen["output_tokens"]


def spend(call: Call, seen: Json, request: Json, instead: str | None = None) -> None:
    """Book what a response that has ended has cost, once. `instead` is as in `Call.spend`.

    One whose tokens OpenAI does not tell may have cost as much as it was allowed to. Only one that
    has failed then has cost nothing: OpenAI tells no tokens if the model was not asked.
    """
    if seen.get("is_counted", True):
        told = seen | {"tier": seen["tier"] or request["service_tier"]}
        made = {"of": seen["id"], "model": seen["model"]}
        tariffs.spend(call, "openai", cost(told), **made, instead=instead)
    elif seen["status"] == "failed":
        call.spend(0, of=seen["id"], model=seen["model"], instead=instead)
    else:
        assume(call, seen["id"], request, instead)


def assume(call: Call, response: str, request: Json, instead: str | None = None) -> None:
    """Book the most that a response may have cost, unless its cost was booked before. `instead` is
    as in `Call.spend`."""
    made = {"of": response, "model": request["model"]}
    tariffs.assume(call, "openai", lost_cost(request), **made, instead=instead)


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
    `cache`).
    """

    text: str
    answer: Any
    response: str | None
    model: str
    tier: str | None
    tokens: Tokens


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
        "pictures": digests
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
    """The cost of the one response that is paid for, if it writes as much as it may."""
    return lost_cost(body_of(given))


@respond.costs_if_lost
def lost_cost(request: Json) -> int:
    """What OpenAI may bill for a response that is lost: as many tokens as it may write."""
    written = request["max_output_tokens"]
    return most(request["model"], most_read(request), written, request["service_tier"])
