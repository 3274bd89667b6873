"""Responses that are waited for, and what is told and booked of those that have ended."""

from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.platform import Json
from app.tariffs import paces
from tasks import tariffs
from tasks.openai.costs import cost, most
from tasks.openai.responses import calls
from tasks.openai.responses.requests import bytes_shown, most_read
from tasks.openai.settings import OpenAISettings

PAUSES = (5.0, 30.0)
"""The seconds from a failed response of a model to its next, of which there are so many."""


def watched(call: Call, response: str, request: Json) -> Json:
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


def is_free(seen: Json) -> bool:
    """Whether a response has cost nothing. What a model has read is paid, although it failed."""
    return not seen["input_tokens"] and not seen["output_tokens"]


def spend(call: Call, seen: Json, request: Json, instead: str | None = None) -> None:
    """Book what a response that has ended has cost, once. `instead` is as in `Call.spend`.

    One whose tokens OpenAI does not tell may have cost as much as it was allowed to. Only one that
    has failed then has cost nothing: OpenAI tells no tokens if the model was not asked.
    """
    if seen.get("is_counted", True):
        priced = seen | {"tier": seen["tier"] or request["service_tier"]}
        made = {"of": seen["id"], "model": seen["model"]}
        tariffs.spend(call, "openai", cost(priced), **made, instead=instead)
    elif seen["status"] == "failed":
        call.spend(0, of=seen["id"], model=seen["model"], instead=instead)
    else:
        assume(call, seen["id"], request, instead)


def assume(call: Call, response: str, request: Json, instead: str | None = None) -> None:
    """Book the most that a response may have cost, unless its cost was booked before. `instead` is
    as in `Call.spend`."""
    made = {"of": response, "model": request["model"]}
    tariffs.assume(call, "openai", lost_cost(request), **made, instead=instead)


def lost_cost(request: Json) -> int:
    """What OpenAI may bill for a response that is lost: as many tokens as it may write."""
    written = request.get("max_output_tokens")
    if written is None:
        return 0  # a moderation is free
    read = most_read(request) + bytes_shown(request)
    return most(request["model"], read, written, request["service_tier"])


def note_pace(model: str, seen: Json) -> None:
    """Take note of how fast the model that was asked has written a response that is whole."""
    if seen["status"] == "completed" and seen.get("seconds") is not None:
        paces.note("openai", model, seen["seconds"], seen["output_tokens"])
