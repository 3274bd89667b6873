"""Finds out what became of a step's calls whose answers were lost.

Predictions have neither metadata nor idempotency keys. A prediction that was made of the step's own
uploaded files is recognised by their addresses. Any other is recognised by its whole input and by
how long it may live: each step asks for another number of seconds (see `lifetime`).
"""

import hashlib
import mimetypes
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from urllib.parse import urlencode

from app.engine.call import Call
from app.errors import Retryable
from app.keys import HOOK_STEP
from app.platform import CannotTell, Found, Intent, Json, LookupAnswer, Never, Undo
from tasks.replicate import answers
from tasks.replicate.client import ReplicateApi, api

CREATE = "predictions.create"
ATTEMPT_SECONDS = 90.0
"""A call is sent within an attempt, and never again before it is known what became of it."""
CLOCKS_DIFFER = timedelta(minutes=5)
_LIST_LAG = timedelta(seconds=60)
_LEAST_LIFETIME, _LEAST_MARKS = 30, 120
_SAME_SECONDS = 1.0


def hook_url(call: Call) -> str:
    """The address of the webhooks about what this generation of the step makes.

    https://replicate.com/docs/topics/webhooks/setup-webhook
    """
    marks = {HOOK_STEP: call.reference, "generation": call.generation}
    return f"{call.hook_url}?{urlencode(marks)}"


def lifetime(call: Call) -> int:
    """After how many seconds Replicate ends a prediction of the step (`Cancel-After`): soon after
    the step's time-out, and for each step at another second, within a twentieth of the time-out
    or two minutes."""
    seconds = max(_LEAST_LIFETIME, ceil(call.timeout_seconds))
    distinct = f"{call.reference} {call.generation} {call.ordinal}"
    mark = int.from_bytes(hashlib.sha256(distinct.encode()).digest()[:4])
    return seconds + mark % max(_LEAST_MARKS, seconds // 20)


def find(call: Call, intent: Intent) -> LookupAnswer:
    """Look for a call's effect in Replicate's lists, which may lag behind.

    Only the time in which the step may have made it is read, however long ago that is and however
    many predictions the account has made since then.
    """
    replicate = api()
    if intent.operation != CREATE:
        # An upload may be repeated, so a file that is not found is uploaded at once.
        since = intent.first_sent_at - CLOCKS_DIFFER
        files = replicate.files_with(intent.request["metadata"], since)
        return Found(files[0] if files else upload(call, replicate, intent.request))
    return _find_prediction(call, intent, replicate)


def _find_prediction(call: Call, intent: Intent, replicate: ReplicateApi) -> LookupAnswer:
    since = intent.first_sent_at - CLOCKS_DIFFER
    until = intent.first_sent_at + timedelta(seconds=ATTEMPT_SECONDS) + CLOCKS_DIFFER
    found: list[Json] = []
    is_unreadable = False
    for each in replicate.predictions(since, until, lambda seen: is_of(intent.request, seen)):
        if each.get("data_removed"):
            is_unreadable = is_unreadable or _lives_as_long(intent.request, each)
        elif is_of(intent.request, each):
            found.append(each)
            if not _is_marked(intent.request):
                break
    if len(found) == 1:
        return Found({"id": found[0]["id"], "status": found[0]["status"]})
    if found:
        return CannotTell(600.0, f"{len(found)} predictions may be that of this step")
    if is_unreadable:
        return CannotTell(600.0, "Replicate has removed the inputs of predictions made then")
    left = _LIST_LAG.total_seconds() - call.age_seconds(intent)
    if left > 0:
        return CannotTell(min(left, 15.0), "Replicate's list may not show a new prediction yet")
    return Never()


def made_by(
    undo: Undo, operation: str, look: Callable[[Intent], LookupAnswer], words: str
) -> str | None:
    """The id of what the step that is undone has made by the operation, None if it made nothing.

    `words` name it. Raises Retryable while a lookup cannot tell.
    """
    recorded = undo.external_id or (undo.response(operation) or {}).get("id")
    if recorded:
        return str(recorded)
    for intent in undo.intents:
        if intent.operation != operation or intent.resolution is not None:
            continue
        answer = look(intent)
        if isinstance(answer, Found):
            return str(answer.response["id"])
        if isinstance(answer, CannotTell):
            raise Retryable(
                f"it is not known yet whether {words} was made: {answer.reason}",
                code="cannot_tell",
                after=answer.after_seconds,
            )
    return None


def is_of(request: Json, seen: Json) -> bool:
    """Whether a listed prediction may be the one that was requested so."""
    given = seen.get("input")
    if not isinstance(given, dict) or not given.items() >= request["input"].items():
        return False
    return not _is_marked(request) or _lives_as_long(request, seen)


def _is_marked(request: Json) -> bool:
    """Whether the prediction is recognised by its lifetime, because no input is of this step."""
    return bool(request.get("is_marked"))


def _lives_as_long(request: Json, seen: Json) -> bool:
    if not _is_marked(request):
        return True
    try:
        lives = answers.time(seen["deadline"]) - answers.time(seen["created_at"])
    except (KeyError, TypeError, ValueError):
        return False
    return abs(lives.total_seconds() - float(request["cancel_after"])) < _SAME_SECONDS


def upload(call: Call, replicate: ReplicateApi, request: Json) -> Json:
    """Upload the artifact of a recorded request: {id, url}."""
    blob = call.artifacts.read(request["artifact"])
    metadata: Json = request["metadata"]
    # The user's own file name is not sent, because it may be personal.
    filename = metadata["role"] + (mimetypes.guess_extension(blob.content_type) or "")
    return replicate.upload(blob.data, filename, blob.content_type, metadata)
