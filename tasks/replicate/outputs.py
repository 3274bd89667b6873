"""Reads the picture in a prediction's output, whatever shape the model gives it."""

import base64
import binascii
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from app.errors import Permanent
from app.platform import Json
from tasks.replicate.client import ReplicateApi

_DEEPEST = 4


def picture(replicate: ReplicateApi, seen: Json) -> bytes:
    """The first picture of an ended prediction: downloaded, or decoded if it is a data URI.

    A model may give a URL, a list of URLs, or an object with the URL in one of its fields. Raises
    Permanent if there is none.
    """
    url = next(_urls(seen["output"], 0), None)
    if url is None:
        raise _without_picture(seen)
    if url.startswith("data:"):
        return _decoded(url, seen)
    return replicate.download(url)


def count(seen: Json) -> int | None:
    """How many files an ended prediction has made; None if Replicate has removed its output."""
    if seen["output"] is None and seen["status"] == "succeeded":
        return None
    return sum(1 for _ in _urls(seen["output"], 0))


def _urls(output: object, depth: int) -> Iterator[str]:
    if isinstance(output, str):
        if output.startswith(("https://", "http://", "data:")):
            yield output
    elif depth < _DEEPEST and isinstance(output, (list, dict)):
        for each in output.values() if isinstance(output, dict) else output:
            yield from _urls(each, depth + 1)


def _decoded(url: str, seen: Json) -> bytes:
    head, _comma, body = url.partition(",")
    try:
        data = unquote_to_bytes(body)
        return base64.b64decode(data, validate=True) if head.endswith(";base64") else data
    except (binascii.Error, ValueError) as err:
        raise Permanent(
            "the prediction's output is a data URI that cannot be decoded",
            code="output_unreadable",
            detail={"prediction": seen["id"]},
        ) from err


def _without_picture(seen: Json) -> Permanent:
    detail = {"prediction": seen["id"]}
    if seen["output"] is None:
        # Replicate removes an output one hour after the prediction has ended, and leaves null.
        return Permanent(
            "Replicate removed the result before it was downloaded",
            code="result_expired",
            detail=detail,
        )
    return Permanent(
        "the model ended without a picture: its output has no address of a file",
        code="output_without_picture",
        detail=detail,
    )
