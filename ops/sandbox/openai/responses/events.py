"""The events of a stream: how a response comes to its end, event by event.

They follow from the response as it begins and as it ends, so that a stream can be taken up again
after any of them. https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ops.sandbox.store import Json

_CHUNK = 12
_PADDED = 32
ENDS = {"completed": "response.completed", "incomplete": "response.incomplete",
        "failed": "response.failed"}  # fmt: skip
"""The last event by the status; a response that is cancelled has none."""


def beginning(response: Json, status: str) -> list[Json]:
    """Return the events of a response until it is in progress, or only queued."""
    first = "queued" if response["background"] else "in_progress"
    found = [{"type": "response.created", "response": {**_bare(response), "status": first}}]
    if first == "queued":
        found.append({"type": "response.queued", "response": {**_bare(response), "status": first}})
    if status != "queued":
        begun = {**_bare(response), "status": "in_progress"}
        found.append({"type": "response.in_progress", "response": begun})
    return numbered(found)


def whole(final: Json, *, is_padded: bool) -> list[Json]:
    """Return all events of a response that has ended; a padded delta hides its length."""
    found = [*beginning(final, "in_progress"), *_outputs(final["output"])]
    if final["status"] in ENDS:
        found.append({"type": ENDS[final["status"]], "response": final})
    if is_padded:
        found = [_padded(each) if "delta" in each else each for each in found]
    return numbered(found)


def failing(number: int, error: Json) -> Json:
    """Return the event of an error inside a stream."""
    return {"type": "error", "sequence_number": number, "param": None, **error}


def numbered(events: Iterable[Json]) -> list[Json]:
    """Return events with their numbers, from 0 on."""
    return [{**each, "sequence_number": number} for number, each in enumerate(events)]


def sent(events: Iterable[Json]) -> Iterator[str]:
    """Return events as server-sent ones."""
    for each in events:
        yield f"event: {each['type']}\ndata: {json.dumps(each)}\n\n"


def _bare(response: Json) -> Json:
    left_out: Json = {"output": [], "usage": None, "error": None, "incomplete_details": None}
    return {**response, **left_out, "completed_at": None}


def _outputs(output: list[Json]) -> Iterator[Json]:
    for index, item in enumerate(output):
        where = {"output_index": index, "item_id": item["id"]}
        begun = {**item, "status": "in_progress"}
        if item["type"] == "message":
            begun["content"] = []
        elif item["type"] == "function_call":
            begun["arguments"] = ""
        else:
            begun["summary"] = []
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        yield from {
            "message": _message, "function_call": _arguments, "reasoning": _reasoning
        }[item["type"]](item, where)  # fmt: skip
        yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _message(item: Json, where: Json) -> Iterator[Json]:
    for number, part in enumerate(item["content"]):
        at = {**where, "content_index": number}
        is_refusal = part["type"] == "refusal"
        field = "refusal" if is_refusal else "text"
        name = "response.refusal" if is_refusal else "response.output_text"
        more: Json = {} if is_refusal else {"logprobs": []}
        yield {"type": "response.content_part.added", **at, "part": {**part, field: ""}}
        for delta in re.findall(r"\s*\S+|\s+$", part[field]):
            yield {"type": f"{name}.delta", **at, "delta": delta, **more}
        yield {"type": f"{name}.done", **at, field: part[field], **more}
        yield {"type": "response.content_part.done", **at, "part": part}


def _arguments(item: Json, where: Json) -> Iterator[Json]:
    text, name = item["arguments"], "response.function_call_arguments"
    for start in range(0, len(text), _CHUNK):
        yield {"type": f"{name}.delta", **where, "delta": text[start : start + _CHUNK]}
    yield {"type": f"{name}.done", **where, "arguments": text}


def _reasoning(item: Json, where: Json) -> Iterator[Json]:
    name = "response.reasoning_summary"
    for number, part in enumerate(item["summary"]):
        at = {**where, "summary_index": number}
        yield {"type": f"{name}_part.added", **at, "part": {**part, "text": ""}}
        for delta in re.findall(r"\s*\S+|\s+$", part["text"]):
            yield {"type": f"{name}_text.delta", **at, "delta": delta}
        yield {"type": f"{name}_text.done", **at, "text": part["text"]}
        yield {"type": f"{name}_part.done", **at, "part": part}


def _padded(event: Json) -> Json:
    delta: Any = event["delta"]
    return {**event, "obfuscation": "x" * (-len(delta) % _PADDED)}
