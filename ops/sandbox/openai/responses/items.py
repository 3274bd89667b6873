"""The input of a response: its items, as they are kept and listed, and what a model reads of them.

Items that are no messages, calls of functions, outputs of those or reasoning are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.writing.seen import check_bytes, check_image, tokens_of_image
from ops.sandbox.store import Json

PREFIXES = {
    "message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs",
}  # fmt: skip
"""The kinds of items that are built, and how their ids begin."""
_DEFAULTS: dict[str, Json] = {
    "message": {"status": "completed"},
    "function_call": {"status": "completed"},
    "function_call_output": {"status": "completed"},
    "reasoning": {},
}
_REFERENCE = "item_reference"
_LONGEST_ID = 64


@dataclass(frozen=True)
class Kept:
    """What an input may point to by an id: the item of a stored response, the bytes of a file."""

    item: Callable[[str], Json | None]
    file: Callable[[str], bytes | None]


def new_id(kind: str) -> str:
    """Return an id for an item of a kind."""
    return f"{PREFIXES[kind]}_{token62(48).lower()}"


def items_of(given: Json, kept: Kept) -> list[Json]:
    """Return the items of an input, which may be a text, with their ids.

    Raise OpenAI's error for an item or a part of a message that is not built, and for an id of
    nothing that is kept.
    """
    value = given.get("input")
    if isinstance(value, str):
        value = [{"role": "user", "content": value}] if value else []
    return [_item(each, f"input[{number}]", kept) for number, each in enumerate(value or [])]


def _item(given: Json, at: str, kept: Kept) -> Json:
    kind = given.get("type") or ("message" if "role" in given else _REFERENCE)
    if kind == _REFERENCE:
        return _referred(given["id"], kept)
    if kind not in PREFIXES:
        raise wire.unsupported_value(f"{at}.type", kind, list(PREFIXES))
    for name in ("async", "caller", "namespace", "phase"):
        if given.get(name) is not None:
            raise wire.unsupported(f"{at}.{name}")
    item = {"id": None, "type": kind, **_DEFAULTS[kind], **given}
    item = {name: each for name, each in item.items() if each is not None}
    wire.long_text(f"{at}.id", item.get("id", ""), _LONGEST_ID)
    item["id"] = item.get("id") or new_id(kind)
    if kind == "message":
        item["content"] = _content(item, at, kept)
    if kind == "function_call_output":
        if "call_id" not in item:
            raise wire.missing(f"{at}.call_id")
        if isinstance(item["output"], list):
            item["output"] = [
                _part(each, f"{at}.output[{n}]", kept) for n, each in enumerate(item["output"])
            ]
    return item


def _referred(item_id: str, kept: Kept) -> Json:
    item = kept.item(item_id)
    if item is None:
        message = (
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to "
            "false. Try again with `store` set to true, or remove this item from your input."
        )
        raise wire.error(404, message, "input")
    return item


def _content(item: Json, at: str, kept: Kept) -> list[Json]:
    content = item["content"]
    if isinstance(content, str):
        if item["role"] == "assistant":
            return [{"type": "output_text", "text": content, "annotations": [], "logprobs": []}]
        return [{"type": "input_text", "text": content}]
    return [_part(each, f"{at}.content[{number}]", kept) for number, each in enumerate(content)]


def _part(given: Json, at: str, kept: Kept) -> Json:
    if given.get("prompt_cache_breakpoint") is not None:
        raise wire.unsupported(f"{at}.prompt_cache_breakpoint")
    if given["type"] == "input_image":
        return {"detail": "auto", **_image(given, at, kept)}
    if given["type"] in ("input_text", "output_text", "refusal"):
        return given
    raise wire.unsupported_value(f"{at}.type", given["type"])


def _image(given: Json, at: str, kept: Kept) -> Json:
    url, file_id = given.get("image_url"), given.get("file_id")
    if file_id is not None:
        data = kept.file(file_id)
        if data is None:
            message = f"No such File object: {file_id}"
            raise wire.error(400, message, f"{at}.file_id", "image_file_not_found")
        check_bytes(data, f"{at}.file_id")
    elif not url:
        raise wire.missing(f"{at}.image_url")
    else:
        check_image(url, f"{at}.image_url")
    return {**given, "detail": given.get("detail") or "auto"}


def prompt_of(items: list[Json]) -> str:
    """Return the text of the last message of the user, or else of the last message."""
    messages = [each for each in items if each["type"] == "message"]
    users = [each for each in messages if each["role"] == "user"]
    last = (users or messages)[-1:]
    return "\n".join(
        filter(None, (part.get("text", "") for each in last for part in each["content"]))
    )


def images_of(items: list[Json]) -> tuple[str, ...]:
    """Return the addresses, or the ids of the files, of the images in the messages."""
    return tuple(
        part.get("image_url") or part["file_id"]
        for part in _parts(items)
        if part["type"] == "input_image"
    )


def text_of(items: list[Json]) -> str:
    """Return all that a model reads of items, without images, one line for each."""
    return "\n".join(_line(each) for each in items)


def image_tokens(items: list[Json], model: str) -> int:
    """Return the tokens that the images take at a model."""
    images = [part for part in _parts(items) if part["type"] == "input_image"]
    return sum(
        tokens_of_image(model, part["detail"], part.get("image_url") or "") for part in images
    )


def check_calls(items: list[Json], pending: list[str]) -> None:
    """Raise OpenAI's error if a call of a function has no output, or an output no call.

    `pending` are the calls of the earlier response that wait for their output.
    """
    called = [*pending, *(each["call_id"] for each in items if each["type"] == "function_call")]
    answered = [each["call_id"] for each in items if each["type"] == "function_call_output"]
    for call_id in answered:
        if call_id not in called:
            message = f"No tool call found for function call output with call_id {call_id}."
            raise wire.error(400, message, "input")
    for call_id in called:
        if call_id not in answered:
            message = f"No tool output found for function call {call_id}."
            raise wire.error(400, message, "input")


def _parts(items: list[Json]) -> Iterator[Json]:
    for item in items:
        content = item.get("content", item.get("output"))
        if item["type"] in ("message", "function_call_output") and isinstance(content, list):
            yield from content


def _line(item: Json) -> str:
    def texts(content: Any) -> str:
        if isinstance(content, str):
            return content
        return "\n".join(part.get("text") or part.get("refusal") or "" for part in content)

    if item["type"] == "message":
        return f"{item['role']}: {texts(item['content'])}"
    if item["type"] == "function_call":
        return f"{item['name']}({item['arguments']})"
    if item["type"] == "function_call_output":
        return texts(item["output"])
    return texts(item.get("summary") or [])
