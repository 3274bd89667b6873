"""Renders a version of a prompt: puts the values of its variables into its messages.

Values are checked against their schemas first. The size of the result is counted before a message
is made, because a short template may have a long value in it a thousand times.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import InvalidInput
from app.payload import whole_numbers
from app.platform import Json
from app.prompts import MOST_CHARACTERS
from chains.language.faults import MAX_FAULTS, Fault
from chains.language.fitting import misfits
from chains.language.patterns.time_limits import MOST_SECONDS, seconds_left
from chains.prompts.body import schema_of
from chains.prompts.template import Place, parse


def render(body: Json, values: Mapping[str, Any], base: str = "/variables") -> list[Json]:
    """The messages of a stored body, each {role, content}.

    A value that is null counts as not given. Raise InvalidInput if a value is missing, unknown or
    wrong (the code is `prompt_variables`, the pointers start with `base`), or if the result is too
    large (`prompt_too_large`).
    """
    given = whole_numbers({name: each for name, each in values.items() if each is not None})
    faults = [*_unprintable(given, base)]
    if not faults:
        # The tests of a version share one limit of time.
        seconds = min(MOST_SECONDS, seconds_left())
        faults = [*misfits(given, schema_of(body["variables"]), base, seconds=seconds)]
    if faults:
        raise InvalidInput(
            f"{faults[0][0]}: {faults[0][1]}",
            field=faults[0][0],
            code="prompt_variables",
            errors=tuple(faults[:MAX_FAULTS]),
        )
    texts = {
        name: text_of(given[name] if name in given else schema["default"])
        for name, schema in body["variables"].items()
    }
    return _rendered(body["messages"], texts, base)


def whole_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The contents of messages in one text, with a blank line between each two."""
    return "\n\n".join(message["content"] for message in messages)


def text_of(value: Any) -> str:
    """A value as it stands in a message.

    >>> text_of("a"), text_of(1), text_of(0.5), text_of(True)
    ('a', '1', '0.5', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value)


def _unprintable(values: Mapping[str, Any], base: str) -> list[Fault]:
    words = "must be a text, a number or a boolean; join a list in the definition, by `join`"
    return [
        (f"{base}/{name}", words) for name, each in values.items() if isinstance(each, dict | list)
    ]


def _rendered(messages: Sequence[Json], texts: Mapping[str, str], base: str) -> list[Json]:
    parsed = [parse(message["content"]).pieces for message in messages]
    pieces = [
        [texts[piece.name] if isinstance(piece, Place) else piece for piece in each]
        for each in parsed
    ]
    size = sum(len(piece) for each in pieces for piece in each)
    if size > MOST_CHARACTERS:
        raise InvalidInput(
            f"with these values the prompt has {size} characters, and {MOST_CHARACTERS} are"
            " allowed",
            field=base,
            code="prompt_too_large",
        )
    return [
        {"role": message["role"], "content": "".join(each)}
        for message, each in zip(messages, pieces, strict=True)
    ]
