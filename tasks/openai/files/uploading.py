"""Upload files to OpenAI for batches, training and models; undoing it deletes them.

Invariant: the name of a file that a step has uploaded says which workflow and which call it was.
OpenAI knows no idempotency keys, and files have no other mark: a call whose answer was lost is
found in OpenAI's list by that name.
"""

import mimetypes
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import (
    ActionInput,
    ActionOutput,
    CannotTell,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from tasks.openai.files import calls
from tasks.openai.files.calls import CREATE

_ATTEMPT_SECONDS = 180.0
_LIST_LAG_SECONDS = 60.0
_CLOCKS_DIFFER = timedelta(minutes=5)
_MOST_BYTES = 200 * 1024 * 1024
_LINES = ("batch", "fine-tune", "evals")
"""The purposes of files that have a JSON value in each line."""
_KEY_LETTERS = 32
_SHOWN = ("bytes", "purpose", "filename", "expires_at")


class UploadInput(ActionInput):
    """A file that OpenAI shall have: an `artifact` of yours, or a `text`, such as lines of a batch.

    It expires after `expires_after_seconds`. By default OpenAI keeps one for a batch for 30 days,
    and others until they are deleted.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["artifact"]}, {"required": ["text"]}]}
    )
    artifact: str | None = Field(default=None, min_length=1, max_length=64)
    text: str | None = Field(default=None, min_length=1, max_length=256_000)
    purpose: Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
    expires_after_seconds: int | None = Field(default=None, ge=3600, le=30 * 86_400)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.artifact is None) == (self.text is None):
            raise ValueError("a file is either an `artifact` or a `text`")
        return self


@action(
    "openai.upload_file",
    input=UploadInput,
    effect=Effect.LOOKUP,
    attempt_seconds=_ATTEMPT_SECONDS,
    slow=True,
)
def upload_file(call: Call, given: UploadInput) -> Json:
    """Upload a file: {file, bytes, purpose, filename, expires_at}."""
    source = {"artifact": given.artifact} if given.text is None else {"text": given.text}
    request: Json = {**source, "purpose": given.purpose, "workflow": str(call.workflow_id)}
    if given.expires_after_seconds is not None:
        request["expires_after_seconds"] = given.expires_after_seconds
    # Read before the call is recorded: an error after that would make it a call that may have taken
    # effect, which is looked for in OpenAI's list.
    sent = [each for each in call.sendings(CREATE) if each.generation == call.generation]
    data, ending = (b"", "") if sent else _content(call, given)
    made = call.once(CREATE, request, lambda r, key: _upload(r, data, ending, key))
    return {"file": made["id"], **{name: made[name] for name in _SHOWN}}


def _content(call: Call, given: UploadInput) -> tuple[bytes, str]:
    """The content of the file, and how its name ends."""
    if given.text is not None:
        return given.text.encode("utf-8", "replace"), ".txt"
    artifact = str(given.artifact)
    if call.artifacts.size(artifact) > _MOST_BYTES:
        raise Permanent("the file has more than 200 MiB", code="file_too_large")
    blob = call.artifacts.read(artifact)
    return blob.data, mimetypes.guess_extension(blob.content_type) or ".bin"


def _upload(request: Json, data: bytes, ending: str, key: str) -> Json:
    ending = ".jsonl" if request["purpose"] in _LINES else ending
    return calls.create(request, f"{_name(request['workflow'], key)}{ending}", data, key)


def _name(workflow: str, key: str) -> str:
    """How the name of a file begins: with its workflow, then with its call."""
    return f"{workflow}.{key[:_KEY_LETTERS]}"


class File(ActionOutput):
    """The file's id at OpenAI, and what OpenAI tells of it. `expires_at` is in Unix seconds; it is
    null if the file is kept until it is deleted."""

    file: str
    bytes: int
    purpose: str
    filename: str
    expires_at: int | None


upload_file.describe(
    output=File,
    example={
        "text": '{"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {}}',
        "purpose": "batch",
    },
)


@upload_file.looked_up
def find_file(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the file in OpenAI's list, which may show a new one late."""
    found = next(_uploaded(intent), None)
    if found is not None:
        return Found(found)
    left = _LIST_LAG_SECONDS - call.age_seconds(intent)
    if left > 0:
        return CannotTell(min(left, 15.0), "OpenAI's list may not show a new file yet")
    return Never()


def _uploaded(intent: Intent, after: str | None = None) -> Iterator[Json]:
    """The files that a call has made, and any earlier sending of it whose answer was lost. `after`:
    only those that were made before that file."""
    name = _name(intent.request["workflow"], intent.key)
    since = intent.first_sent_at - _CLOCKS_DIFFER
    for each in calls.listed(intent.request["purpose"], since, after):
        if each["filename"].startswith(name):
            yield each


@upload_file.compensation
def remove(call: Call, undo: Undo) -> Json:
    """Delete what the step has uploaded, also if the answer was lost."""
    found: dict[str, str] = {}
    for intent in undo.intents:
        if intent.operation == CREATE:
            for each in _ids(call, intent):
                found[each] = found.get(each) or calls.delete(each)
    results = ("deleted", "already")
    result = next((each for each in results if each in found.values()), "nothing")
    return {"result": result, "files": list(found)}


def _ids(call: Call, intent: Intent) -> list[str]:
    """The files of a call, that of its record last. Raises Retryable while OpenAI cannot tell of a
    call without an answer."""
    if intent.response is not None:
        known = str(intent.response["id"])
        return [*_copies(intent, known), known]
    found = [str(each["id"]) for each in _uploaded(intent)]
    if not found and intent.resolution is None:
        answer = find_file(call, intent)
        if isinstance(answer, CannotTell):
            raise Retryable(
                f"it is not known yet whether a file was uploaded: {answer.reason}",
                code="cannot_tell",
                after=answer.after_seconds,
            )
    return found


def _copies(intent: Intent, known: str) -> list[str]:
    """The files of earlier sendings of a call. The list is read from the known file on, because it
    may be long by now. If that file is gone, it was deleted after the others."""
    try:
        return [str(each["id"]) for each in _uploaded(intent, known)]
    except Permanent:
        return []
