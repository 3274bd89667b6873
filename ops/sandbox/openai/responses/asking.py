"""A request for a response: what its parameters mean, and which of them are refused.

What is not built is refused: conversations, prompts of OpenAI's dashboard, compaction, moderation
in the same call, access programs, log probabilities, explicit breakpoints of the cache, and all
tools but functions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk, tokens_of, writer
from ops.sandbox.openai.files.shelf import Shelf
from ops.sandbox.openai.responses import items, tools
from ops.sandbox.openai.writing import schemas
from ops.sandbox.openai.writing.answers import reasons
from ops.sandbox.openai.writing.functions import Choice, Function
from ops.sandbox.store import Json

KIND = "openai_response"
ENDED = ("completed", "failed", "incomplete", "cancelled")
_UNBUILT = (
    "access_programs", "context_management", "conversation", "moderation", "prompt", "personality",
    "top_logprobs",
)  # fmt: skip
_LEAST_OUTPUT = 16
_WINDOWS = ((re.compile(r"gpt-4\.1|gpt-6"), 1_047_576), (re.compile(r"gpt-5|o\d"), 400_000))
_WINDOW = 128_000


@dataclass(frozen=True)
class Asked:
    """A request: its body, its own items, and the tokens and open calls of the ones before it."""

    body: Json
    model: str
    items: list[Json]
    functions: tuple[Function, ...]
    choice: Choice
    form: Json
    read_tokens: int
    is_answered: bool
    """Whether the input ends with the outputs of calls."""
    said: str | None = None
    """What the model writes, if a planned fault says it."""

    @property
    def prompt(self) -> str:
        """The text of the last message of the user."""
        return items.prompt_of(self.items)

    @property
    def effort(self) -> Any:
        """How much is to be thought, or None."""
        return (self.body.get("reasoning") or {}).get("effort")

    @property
    def most_tokens(self) -> int | None:
        """The most tokens that may be written, thinking included."""
        found: int | None = self.body.get("max_output_tokens")
        return found


def asked(desk: Desk, shelf: Shelf, given: Json) -> Asked:
    """Return what a body asks for; raise OpenAI's error for what is wrong or not built."""
    model = writer(given)
    check_built(given)
    _check_bounds(given)
    _check_reasoning(given, model)
    if given.get("stream_options") is not None and not given.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise wire.error(400, message, "stream_options")
    wire.metadata_of(given)
    found = _read(desk, shelf, given, model)
    return replace(found, read_tokens=_within_window(desk, found))


def counted(desk: Desk, shelf: Shelf, given: Json) -> int:
    """Return the tokens that the input of a body has."""
    check_built(given)
    model = writer(given) if given.get("model") else ""
    return _read(desk, shelf, given, model).read_tokens


def _read(desk: Desk, shelf: Shelf, given: Json, model: str) -> Asked:
    own = items.items_of(given, items.Kept(partial(_stored, desk), shelf.read))
    before = _before(desk, given)
    if not own and not before:
        raise wire.missing("input")
    items.check_calls(own, before.get("pending", []))
    functions = tools.functions_of(given, model)
    choice = tools.choice_of(given, functions)
    form = _form(given, own)
    prompt = prompt_text(given, own)
    read = before.get("tokens", 0) + tokens_of(prompt) + items.image_tokens(own, model)
    is_answered = bool(own) and own[-1]["type"] == "function_call_output"
    return Asked(given, model, own, functions, choice, form, read, is_answered)


def _stored(desk: Desk, item_id: str) -> Json | None:
    """The item of a stored response to which an id belongs, or None."""
    for row in desk.store.query(KIND, "instr(body, ?) > 0", (json.dumps(item_id),)):
        if row.body["is_stored"]:
            for item in (*row.body["input"], *row.body["response"]["output"]):
                if item["id"] == item_id:
                    return dict(item)
    return None


def prompt_text(given: Json, own: list[Json]) -> str:
    """Return all text that a model reads of a request, in the order in which it is cached."""
    shown = json.dumps(given["tools"]) if given.get("tools") else ""
    return "\n".join(filter(None, (shown, given.get("instructions"), items.text_of(own))))


def check_built(given: Json) -> None:
    """Raise OpenAI's error for the first parameter that is not built."""
    for name in _UNBUILT:
        if given.get(name):
            raise wire.unsupported(name)
    if "message.output_text.logprobs" in (given.get("include") or []):
        raise wire.unsupported_value("include", "message.output_text.logprobs")
    cache = given.get("prompt_cache_options") or {}
    for name in ("comparison_response_id", "prewarm"):
        if cache.get(name):
            raise wire.unsupported(f"prompt_cache_options.{name}")
    if cache.get("mode") == "explicit":
        raise wire.unsupported_value("prompt_cache_options.mode", "explicit", ["implicit"])
    if (given.get("image") or {}).get("context_compression") == "enabled":
        raise wire.unsupported_value("image.context_compression", "enabled")
    reasoning = given.get("reasoning") or {}
    for name in ("context", "mode"):
        if reasoning.get(name) not in (None, "auto", "standard"):
            raise wire.unsupported_value(f"reasoning.{name}", reasoning[name])


def _check_bounds(given: Json) -> None:
    wire.bounded(given, "max_output_tokens", _LEAST_OUTPUT)
    wire.bounded(given, "max_tool_calls", 1)
    wire.bounded(given, "temperature", 0, 2)
    wire.bounded(given, "top_p", 0, 1)
    wire.long_text("safety_identifier", given.get("safety_identifier") or "", 128)
    wire.long_text("prompt_cache_key", given.get("prompt_cache_key") or "", 64)


def _check_reasoning(given: Json, model: str) -> None:
    for name, value in (given.get("reasoning") or {}).items():
        if value is not None and not reasons(model):
            raise wire.unsupported(f"reasoning.{name}")


def _before(desk: Desk, given: Json) -> Json:
    """What the earlier response leaves: its tokens, and the calls that wait for their output."""
    earlier = given.get("previous_response_id")
    if earlier is None:
        return {}
    row = desk.store.get(KIND, earlier)
    if row is None or not row.body["is_stored"]:
        message = f"Previous response with id '{earlier}' not found."
        raise wire.error(400, message, "previous_response_id", "previous_response_not_found")
    if row.body["response"]["status"] not in ENDED:
        message = f"Previous response with id '{earlier}' is still in progress."
        raise wire.error(400, message, "previous_response_id")
    output = row.body["response"]["output"]
    usage = row.body["response"]["usage"] or {"total_tokens": 0}
    pending = [each["call_id"] for each in output if each["type"] == "function_call"]
    return {"tokens": usage["total_tokens"], "pending": pending, "id": earlier}


def _form(given: Json, own: list[Json]) -> Json:
    form: Json = (given.get("text") or {}).get("format") or {"type": "text"}
    if form["type"] == "json_object":
        text = f"{given.get('instructions') or ''}\n{items.text_of(own)}"
        if "json" not in text.lower():
            message = (
                "Response input messages must contain the word 'json' in some form to use "
                "'text.format' of type 'json_object'."
            )
            raise wire.error(400, message, "input")
    if form["type"] == "json_schema":
        schemas.named("text.format.name", form["name"])
        schemas.checked(
            form["schema"],
            f"response_format '{form['name']}'",
            "text.format.schema",
            "invalid_json_schema",
            is_strict=bool(form.get("strict")),
        )
    return form


def _within_window(desk: Desk, found: Asked) -> int:
    """Return the tokens that are read; with `truncation` the oldest ones are left out."""
    own = next((most for models, most in _WINDOWS if models.match(found.model)), _WINDOW)
    most = int(desk.settings.number("openai.context_tokens")) or own
    if found.read_tokens <= most:
        return found.read_tokens
    if found.body.get("truncation") == "auto":
        return most
    refused = wire.known("context_length_exceeded")
    refused.body["error"]["param"] = "input"
    raise refused
