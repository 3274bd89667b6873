"""Reads an output: how many files it has, its text, and its data URIs. Pure."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from app.errors import Permanent
from app.platform import Json

_DEEPEST = 4
_DEEPEST_OUTPUT = 20
_DATA = re.compile(r"data:[\w.+-]+/[\w.+-]+[^,\s]{0,200},")


def count(seen: Json) -> int | None:
    """How many files an ended prediction has made; None if Replicate has removed its output."""
    if seen["output"] is None and seen["status"] == "succeeded":
        return None
    return sum(1 for _ in _urls(seen["output"], 0))


def first_file(seen: Json) -> str:
    """The address of the first file of an output, or the file as a data URI.

    A model may give it alone, in a list, or in one of the fields of an object. Raises Permanent if
    there is none.
    """
    found = next(_urls(seen["output"], 0), None)
    if found is None:
        raise _without_picture(seen)
    return found


def mapped(output: object, change: Callable[[str], object], depth: int = 0) -> object:
    """An output in which each text is changed. What is too deep stays as it is."""
    if depth > _DEEPEST_OUTPUT:
        return output
    if isinstance(output, str):
        return change(output)
    if isinstance(output, list):
        return [mapped(each, change, depth + 1) for each in output]
    if isinstance(output, dict):
        return {name: mapped(each, change, depth + 1) for name, each in output.items()}
    return output


def text_of(output: object, *, is_text: bool) -> str | None:
    """The text of an output that is one, also in parts; None for any other output."""
    if isinstance(output, str):
        return output
    if is_text and isinstance(output, list) and all(isinstance(each, str) for each in output):
        return "".join(output)
    return None


def is_data(text: str) -> bool:
    """Whether a text is a file as a data URI (RFC 2397)."""
    return _DATA.match(text) is not None


def decoded(uri: str) -> tuple[bytes, str] | None:
    """The content of a data URI and the type that it says; None if it cannot be decoded."""
    head, _comma, body = uri.partition(",")
    kind = head[len("data:") :].partition(";")[0] or "text/plain"
    try:
        data = unquote_to_bytes(body)
        is_base64 = head.lower().endswith(";base64")
        return (base64.b64decode(data, validate=True) if is_base64 else data), kind
    except (binascii.Error, ValueError):
        return None


def unreadable(seen: Json) -> Permanent:
    """The error for a data URI that cannot be decoded."""
    return Permanent(
        "the prediction's output is a data URI that cannot be decoded",
        code="output_unreadable",
        detail={"prediction": seen["id"]},
    )


def expired(seen: Json) -> Permanent:
    """The error for an output that Replicate has removed, one hour after the prediction's end."""
    return Permanent(
        "Replicate removed the result before it was downloaded",
        code="result_expired",
        detail={"prediction": seen["id"]},
    )


def _urls(output: object, depth: int) -> Iterator[str]:
    if isinstance(output, str):
        if output.startswith(("https://", "http://", "data:")):
            yield output
    elif depth < _DEEPEST and isinstance(output, (list, dict)):
        for each in output.values() if isinstance(output, dict) else output:
            yield from _urls(each, depth + 1)


def _without_picture(seen: Json) -> Permanent:
    if seen["output"] is None:
        return expired(seen)
    return Permanent(
        "the model ended without a picture: its output has no address of a file",
        code="output_without_picture",
        detail={"prediction": seen["id"]},
    )
