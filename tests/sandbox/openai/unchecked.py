"""`python -m tests.sandbox.openai.unchecked`: write `ops/sandbox/openai/unchecked.md`.

It lists what the comparison with the SDK's types leaves out. A test compares it.
"""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from tests.sandbox.openai.describe import CALLS, FOLDER
from tests.sandbox.openai.served import EVENTS, LISTS, REPLIES, WITHOUT_TYPE, routes

FILE = FOLDER / "unchecked.md"
_TEXT = """\
# What is not compared with the types of OpenAI's SDK

In the tests of the sandbox, the HTTP client of OpenAI's SDK compares each accepted request with the
SDK's types of parameters (their names, kinds and enumerations, and which must be given, at any
depth), and each reply and each event of a stream with the SDK's types of replies (no field is
unknown, none that must be there is missing, and each value is of its type). What follows is left
out. `python -m tests.sandbox.openai.unchecked` writes this file; a test compares it.

- Bounds of numbers and lengths: the SDK's types have none.
- The parts of forms (multipart), and requests that are refused.
- Errors: that they have OpenAI's four fields is compared; their codes and words are not.
- `obfuscation`, the padding of deltas in streams: the types of some events do not have it.
- Webhooks: their body is read by the SDK (`webhooks.unwrap`), which is more lenient.

## Calls without parameters in the SDK

{calls}

## Replies without a type

{replies}

## Fields that may be there or not

The types let these fields of replies be absent, so none is demanded.

{fields}
"""


def text() -> str:
    """The text of the file."""
    calls = [
        f"- `{method} {path}`" for method, path, operation in routes() if operation not in CALLS
    ]
    replies = [f"- `{operation}`: {why}" for operation, why in WITHOUT_TYPE.items()]
    fields = [
        f"- `{kind.__name__}`: {', '.join(names)}"
        for kind in sorted(_models(), key=lambda each: each.__name__)
        if (names := _optional(kind))
    ]
    return _TEXT.format(
        calls="\n".join(sorted(calls)), replies="\n".join(sorted(replies)), fields="\n".join(fields)
    )


def _models() -> set[type[BaseModel]]:
    """The types of replies, without those inside them."""
    kinds = [*REPLIES.values(), *LISTS.values(), *EVENTS.values()]
    return {each for kind in kinds for each in _of(kind)}


def _of(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [found for each in get_args(kind) for found in _of(each)]


def _optional(kind: type[BaseModel]) -> list[str]:
    return [name for name, field in kind.model_fields.items() if not field.is_required()]


if __name__ == "__main__":
    FILE.write_text(text())
