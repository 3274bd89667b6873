"""Compares replies with the types of OpenAI's SDK, more strictly than the SDK does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.sandbox.openai.served import EVENTS, LISTS, REPLIES, WITHOUT_TYPE

_PADDING = "obfuscation"
"""A field of each delta that hides its length; the SDK's types of some do not have it."""
_OF_IMAGES = "moderation_details"
"""A field of the errors of blocked pictures."""
_TEXTS = ("text/plain", "text/vtt")
"""What subtitles are sent as."""
_LIST_FIELDS = {"object", "data", "first_id", "last_id", "has_more"}


def faults_of_reply(operation: str, body: bytes, content_type: str) -> list[str]:
    """What is wrong with the reply to an operation that was served."""
    if operation in WITHOUT_TYPE or content_type.startswith(_TEXTS):
        return []
    if content_type.startswith("text/event-stream"):
        return [fault for each in events_in(body) for fault in _faults(EVENTS[operation], each)]
    if operation not in LISTS:
        return _faults(REPLIES[operation], body)
    found = json.loads(body)
    unknown = [f"the list has no {name}" for name in sorted(set(found) - _LIST_FIELDS)]
    entries = [json.dumps(each).encode() for each in found["data"]]
    return unknown + [fault for each in entries for fault in _faults(LISTS[operation], each)]


def faults_of_error(body: bytes) -> list[str]:
    """What is wrong with the body of a refusal."""
    found = json.loads(body)
    fields = set(found.get("error") or ()) - {_OF_IMAGES}
    if set(found) != {"error"} or fields != {"message", "type", "param", "code"}:
        return [f"not an error of OpenAI: {found}"]
    return []


def events_in(body: bytes) -> Iterator[bytes]:
    """The data of the events of a stream, as far as it has come."""
    for block in body.split(b"\n\n")[:-1]:
        data = block.rpartition(b"data: ")[2]
        if data != b"[DONE]":
            yield data


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _faults(kind: Any, body: bytes) -> list[str]:
    try:
        found = _adapter(kind).validate_json(body, strict=True)
    except ValidationError as err:
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in err.errors()]
    return list(_unknown(found))


def _unknown(value: Any) -> Iterator[str]:
    """The fields that the types do not have."""
    if isinstance(value, list):
        for each in value:
            yield from _unknown(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _unknown(each)
    elif isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            if name != _PADDING:
                yield f"{type(value).__name__} has no {name}"
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name))
