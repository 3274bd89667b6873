"""A request for chat completions: what its parameters mean, and which of them are refused.

What is not built is refused: sound, predicted outputs, searches of the web, stored completions, log
probabilities, moderation in the same call, the functions of old, and all tools but functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import tokens_of, writer
from ops.sandbox.openai.prompts import plain, prompt
from ops.sandbox.openai.writing import schemas
from ops.sandbox.openai.writing.answers import reasons
from ops.sandbox.openai.writing.functions import Choice, Function, check_all, found
from ops.sandbox.openai.writing.seen import check_image, tokens_of_image
from ops.sandbox.store import Json

_UNBUILT = (
    "audio", "function_call", "functions", "logit_bias", "logprobs", "moderation", "prediction",
    "store", "top_logprobs", "web_search_options",
)  # fmt: skip
_MOST_STOPS, _MOST_CHOICES = 4, 128


@dataclass(frozen=True)
class Asked:
    """A request, and what the model reads of it."""

    body: Json
    model: str
    functions: tuple[Function, ...]
    choice: Choice
    form: Json
    prompt: str
    text: str
    images: tuple[str, ...]
    read_tokens: int

    @property
    def most_tokens(self) -> int | None:
        """The most tokens that each choice may have, thinking included."""
        most: int | None = self.body.get("max_completion_tokens")
        older: int | None = self.body.get("max_tokens")
        return older if most is None else most

    @property
    def count(self) -> int:
        """How many choices are wanted."""
        return self.body.get("n") or 1

    @property
    def stops(self) -> list[str]:
        """The texts at which the model stops."""
        stop = self.body.get("stop") or []
        return [stop] if isinstance(stop, str) else stop

    @property
    def is_answered(self) -> bool:
        """Whether the messages end with the outputs of calls."""
        return bool(self.body["messages"][-1]["role"] == "tool")


def asked(given: Json) -> Asked:
    """Return what a body asks for; raise OpenAI's error for what is wrong or not built."""
    model = writer(given)
    _check_built(given)
    _check_bounds(given, model)
    wire.metadata_of(given)
    messages = given["messages"]
    if not messages:
        wire.empty_list("messages")
    images = tuple(_check_messages(messages))
    _check_calls(messages)
    functions = _functions(given)
    choice = _choice(given, functions)
    form = _form(given, messages)
    text = json.dumps(messages)
    image_tokens = sum(tokens_of_image(model, detail, url) for url, detail in images)
    urls = tuple(url for url, _ in images)
    for url in urls:
        text = text.replace(json.dumps(url), "")
    shown = json.dumps(given["tools"]) if functions else ""
    read = tokens_of(shown + text) + image_tokens
    return Asked(given, model, functions, choice, form, prompt(messages), shown + text, urls, read)


def _check_built(given: Json) -> None:
    for name in _UNBUILT:
        if given.get(name):
            raise wire.unsupported(name)
    if given.get("modalities") not in (None, ["text"]):
        raise wire.unsupported_value("modalities", given["modalities"], ["text"])
    if (given.get("prompt_cache_options") or {}).get("mode") == "explicit":
        raise wire.unsupported_value("prompt_cache_options.mode", "explicit", ["implicit"])
    if given.get("stream_options") is not None and not given.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise wire.error(400, message, "stream_options")
    if given.get("max_tokens") is not None and given.get("max_completion_tokens") is not None:
        message = (
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        )
        raise wire.error(400, message, "max_tokens", "invalid_parameter_combination")


def _check_bounds(given: Json, model: str) -> None:
    wire.bounded(given, "max_completion_tokens", 1)
    wire.bounded(given, "max_tokens", 1)
    wire.bounded(given, "n", 1, _MOST_CHOICES)
    wire.bounded(given, "temperature", 0, 2)
    wire.bounded(given, "top_p", 0, 1)
    for name in ("frequency_penalty", "presence_penalty"):
        wire.bounded(given, name, -2, 2)
    wire.long_text("safety_identifier", given.get("safety_identifier") or "", 128)
    wire.long_text("prompt_cache_key", given.get("prompt_cache_key") or "", 64)
    if given.get("reasoning_effort") is not None and not reasons(model):
        raise wire.unsupported("reasoning_effort")
    if isinstance(given.get("stop"), list):
        wire.long_list("stop", given["stop"], _MOST_STOPS)


def _check_messages(messages: list[Json]) -> Iterator[tuple[str, str]]:
    """Yield address and detail of each image; raise OpenAI's error for what is not built."""
    for number, message in enumerate(messages):
        at = f"messages[{number}]"
        for name in ("audio", "function_call"):
            if message.get(name):
                raise wire.unsupported(f"{at}.{name}")
        if message["role"] == "function":
            raise wire.unsupported_value(f"{at}.role", "function")
        for index, part in enumerate(_parts(message)):
            yield from _check_part(part, f"{at}.content[{index}]")
        for call in message.get("tool_calls") or []:
            if call["type"] != "function":
                raise wire.unsupported_value(f"{at}.tool_calls", call["type"], ["function"])


def _check_part(part: Json, at: str) -> Iterator[tuple[str, str]]:
    if part.get("prompt_cache_breakpoint"):
        raise wire.unsupported(f"{at}.prompt_cache_breakpoint")
    if part["type"] not in ("text", "refusal", "image_url"):
        raise wire.unsupported_value(f"{at}.type", part["type"])
    if part["type"] == "image_url":
        image = part["image_url"]
        check_image(image["url"], f"{at}.image_url.url")
        yield image["url"], image.get("detail") or "auto"


def _parts(message: Json) -> list[Json]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _check_calls(messages: list[Json]) -> None:
    """Raise OpenAI's error if a message of a tool answers no call, or a call has no answer."""
    waiting: list[str] = []
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                words = (
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'."
                )
                raise wire.error(400, words, f"messages.[{number}].role")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            break
        waiting = [each["id"] for each in message.get("tool_calls") or []]
    if waiting:
        words = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(waiting)}"
        )
        raise wire.error(400, words, "messages")


def _functions(given: Json) -> tuple[Function, ...]:
    made = []
    for number, tool in enumerate(given.get("tools") or []):
        if tool["type"] != "function":
            raise wire.unsupported_value(f"tools[{number}].type", tool["type"], ["function"])
        each = tool["function"]
        is_strict = bool(each.get("strict"))
        at = f"tools[{number}].function"
        made.append(Function(each["name"], each.get("parameters"), is_strict, at))
    check_all(made)
    return tuple(made)


def _choice(given: Json, functions: tuple[Function, ...]) -> Choice:
    choice: Any = given.get("tool_choice")
    if choice is not None and not functions:
        message = "'tool_choice' is only allowed when 'tools' are specified."
        raise wire.error(400, message, "tool_choice")
    if choice is None or isinstance(choice, str):
        return Choice(choice or "auto", functions)
    if choice["type"] == "function":
        return Choice("required", (found(functions, choice["function"]["name"]),), is_named=True)
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        kept = tuple(found(functions, _name(each.get("function"))) for each in allowed["tools"])
        return Choice(allowed["mode"], kept)
    raise wire.unsupported_value("tool_choice.type", choice["type"], ["function", "allowed_tools"])


def _name(function: Any) -> Any:
    return function.get("name") if isinstance(function, dict) else None


def _form(given: Json, messages: list[Json]) -> Json:
    form: Json = given.get("response_format") or {"type": "text"}
    if form["type"] == "json_object":
        words = "\n".join(plain(each.get("content")) for each in messages)
        if "json" not in words.lower():
            message = (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of "
                "type 'json_object'."
            )
            raise wire.error(400, message, "messages")
    if form["type"] == "json_schema":
        schema = form["json_schema"]
        at = "response_format.json_schema"
        schemas.named(f"{at}.name", schema["name"])
        if "schema" in schema:
            schemas.checked(
                schema["schema"],
                f"response_format '{schema['name']}'",
                "response_format",
                "invalid_json_schema",
                is_strict=bool(schema.get("strict")),
            )
    return form
