"""Finds the response of a call whose answer was lost, and undoes what a step has asked for.

OpenAI's events name a response only by its id. An event about one for which no step waits is read
at OpenAI, once, for the step's reference in its metadata; so the step can find it here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from app.engine.call import Call
from app.errors import NotConfigured, Outcome, Permanent, PlatformUnavailable, Retryable
from app.platform import CannotTell, Delivery, Found, Intent, Json, LookupAnswer, Lost, Trace, Undo
from app.protocol.deliveries import is_waited_for, reported_effects
from tasks.openai import plain
from tasks.openai.responses import calls
from tasks.openai.responses.calls import CREATE
from tasks.openai.responses.ended import assume, spend
from tasks.openai.responses.judging import JUDGE
from tasks.openai.responses.requests import CALL
from tasks.openai.responses.responding import respond
from tasks.openai.settings import OpenAISettings
from tasks.signatures import text_at

_PAUSE_SECONDS = 15.0
_EVENTS = "response."
_SLOWEST = 10.0
"""The tokens that a model writes in a second, at least, from when OpenAI takes the request up."""


def completed(delivery: Delivery) -> Delivery:
    """An event about a response, with the step for which the response was made if no step waits for
    it. Raises PlatformUnavailable if OpenAI does not tell now: the event must be sent again."""
    known = delivery.external_id
    if known is None or not delivery.kind.startswith(_EVENTS) or is_waited_for(known):
        return delivery
    try:
        seen = plain.read(f"/responses/{quote(known, safe='')}", "responses.retrieve")
    except (Outcome, NotConfigured) as err:
        if isinstance(err, Permanent) and err.code == "not_found":
            # It is another project's, or was deleted.
            return delivery
        raise PlatformUnavailable(f"{known} cannot be read at OpenAI now: {err.message}") from err
    reference = text_at(seen, "metadata", "reference")
    return delivery if reference is None else replace(delivery, trace=Trace(known, reference))


@respond.looked_up
def find_response(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the response among those of which webhooks have told.

    One in the background has `adopt_seconds` to end and to be told of, or longer if it may write so
    many tokens. After that it is taken for one that was never made; if it tells of itself later,
    what it has cost takes the place of what was written off. An answer at once that was lost is
    never told of.
    """
    if not intent.request.get("background"):
        return Lost()
    for each in reported_effects("openai", call.workflow_id, call.original_key):
        try:
            seen = calls.retrieve(each)
        except Permanent as err:
            if err.code != "not_found":
                raise
            continue
        if seen["metadata"].get(CALL) == intent.key:
            return Found({"id": seen["id"], "status": seen["status"]})
    settings = OpenAISettings.current()
    if not settings.webhook_secret.get_secret_value():
        return Lost()
    writing = float(intent.request["max_output_tokens"]) / _SLOWEST
    left = max(settings.adopt_seconds, writing) - call.age_seconds(intent)
    if left <= 0:
        return Lost()
    return CannotTell(min(left, _PAUSE_SECONDS), "no webhook has told of the response yet")


@respond.compensation
def discard(call: Call, undo: Undo) -> Json:
    """Stop the responses that still run, and delete all that the step has asked for at OpenAI."""
    for each in () if undo.is_orphan else undo.intents:
        # A judgement is not stored at OpenAI, so that one whose answer was lost can only be booked.
        if each.operation == JUDGE and each.resolution is None:
            call.book_lost(each)
    known = _responses_of(call, undo)
    results = {_remove(call, response, made) for response, made in known.items()}
    order = ("cancelled", "deleted", "already", "nothing")
    result = next((each for each in order if each in results), "nothing")
    return {"result": result, "responses": list(known)}


@dataclass(frozen=True)
class _Made:
    """Who has asked for a response: the call `intent`, or one of the calls `among` by a sending
    that was written off."""

    intent: Intent | None
    among: Sequence[Intent]

    def by(self, mark: str | None) -> tuple[Json, str | None]:
        """The request of a response with this mark, and the key of its call if its answer was
        lost."""
        if self.intent is not None:
            return self.intent.request, None
        found = next((each for each in self.among if each.key == mark), self.among[-1])
        return found.request, found.key


def _responses_of(call: Call, undo: Undo) -> dict[str, _Made]:
    """The step's responses by their ids, the one included whose answer was lost. For an orphan,
    only that one."""
    asked = [each for each in undo.intents if each.operation == CREATE]
    answered = {_id_of(each): each for each in asked}
    found: dict[str, _Made] = {}
    if undo.external_id is not None and asked:
        found[undo.external_id] = _Made(answered.get(undo.external_id), asked)
    for intent in () if undo.is_orphan else asked:
        response = _id_of(intent)
        if response is None and intent.resolution is None:
            response = _lost(call, intent)
        if response is not None:
            found[response] = _Made(intent, asked)
    return found


def _id_of(intent: Intent) -> str | None:
    return None if intent.response is None else text_at(intent.response, "id")


def _lost(call: Call, intent: Intent) -> str | None:
    answer = find_response(call, intent)
    if isinstance(answer, CannotTell):
        raise Retryable(
            f"it is not known yet whether a response was made: {answer.reason}",
            code="cannot_tell",
            after=answer.after_seconds,
        )
    if isinstance(answer, Lost):
        call.book_lost(intent)
    return str(answer.response["id"]) if isinstance(answer, Found) else None


def _remove(call: Call, response: str, made: _Made) -> str:
    """Stop and delete a response; `already` if OpenAI does not have it. Its cost is booked."""
    try:
        seen = calls.retrieve(response)
        was_running = seen["is_running"]
        if was_running:
            calls.cancel(response)
            seen = calls.retrieve(response)
    except Permanent as err:
        if err.code == "not_found":
            assume(call, response, *made.by(None))
            return "already"
        raise
    if seen["is_running"]:
        raise Retryable("OpenAI has not stopped the response yet", code="still_running", after=2.0)
    spend(call, seen, *made.by(seen["metadata"].get(CALL)))
    if not calls.delete(response):
        return "already"
    return "cancelled" if was_running and seen["status"] == "cancelled" else "deleted"
