"""Reads and keeps the output of a prediction, whatever shape the model gives it.

Replicate removes an output an hour after the prediction has ended. So each file in it is copied to
an artifact of the step at once, with the hash of what Replicate delivered; a picture gets the mark
of its provenance.
"""

import base64
import binascii
import hashlib
import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes, urlsplit

from app.engine.call import Call
from app.errors import Permanent
from app.files import provenance
from app.platform import Json
from tasks.replicate.client import ReplicateApi

_DEEPEST = 4
_DEEPEST_OUTPUT, _MOST_FILES = 20, 50
_UNKNOWN_TYPE = "application/octet-stream"
_DATA = re.compile(r"data:[\w.+-]+/[\w.+-]+[^,\s]{0,200},")


def picture(replicate: ReplicateApi, seen: Json) -> bytes:
    """The first picture of an ended prediction: downloaded, or decoded if it is a data URI.

    A model may give a URL, a list of URLs, or an object with the URL in one of its fields. Raises
    Permanent if there is none.
    """
    url = next(_urls(seen["output"], 0), None)
    if url is None:
        raise _without_picture(seen)
    return _content(replicate, seen, url)


def count(seen: Json) -> int | None:
    """How many files an ended prediction has made; None if Replicate has removed its output."""
    if seen["output"] is None and seen["status"] == "succeeded":
        return None
    return sum(1 for _ in _urls(seen["output"], 0))


def keep(call: Call, replicate: ReplicateApi, seen: Json) -> tuple[object, list[Json]]:
    """Copy the files of an output to artifacts: the output with the artifacts in their places, and
    the artifacts alone.

    A file is an address at Replicate, or a data URI. Any other text stays as it is, also if it
    looks like an address: a model of language may have written it. Raises Permanent if the output
    has more files or levels than are read.
    """
    kept: list[Json] = []

    def adopted(value: str) -> object:
        if not _DATA.match(value) and not replicate.serves(value):
            return value
        if len(kept) >= _MOST_FILES:
            raise Permanent(
                f"the output has more than {_MOST_FILES} files", code="output_too_large"
            )
        kept.append(_kept(call, value, _content(replicate, seen, value), len(kept)))
        return kept[-1]

    return mapped(seen["output"], adopted), kept


def mapped(output: object, change: Callable[[str], object], depth: int = 0) -> object:
    """An output in which each text is changed. Raises Permanent if it is too deep."""
    if depth > _DEEPEST_OUTPUT:
        raise Permanent("the output has too many levels", code="output_too_large")
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


def kept_picture(call: Call, data: bytes) -> Json:
    """Keep the picture of a face swap with its mark."""
    vendor_sha256 = hashlib.sha256(data).hexdigest()
    marked = provenance.mark(data)
    extension = marked.content_type.partition("/")[2]
    return call.artifacts.write(
        f"picture.{extension}", marked.data, marked.content_type, vendor_sha256=vendor_sha256
    )


def _kept(call: Call, url: str, data: bytes, number: int) -> Json:
    vendor_sha256, kind = hashlib.sha256(data).hexdigest(), _type(url)
    if kind.startswith("image/") and kind != "image/svg+xml":
        marked = provenance.mark(data)
        data, kind = marked.data, marked.content_type
    extension = mimetypes.guess_extension(kind) or ".bin"
    name = f"output-{number}{extension}"
    return call.artifacts.write(name, data, kind, vendor_sha256=vendor_sha256)


def _type(url: str) -> str:
    """The type of a file by what its address says."""
    if url.startswith("data:"):
        head = url[len("data:") : 300].partition(",")[0]
        return head.partition(";")[0].strip().lower() or "text/plain"
    path = PurePosixPath(urlsplit(url).path).name
    return mimetypes.guess_type(path)[0] or _UNKNOWN_TYPE


def _content(replicate: ReplicateApi, seen: Json, url: str) -> bytes:
    return _decoded(url, seen) if url.startswith("data:") else replicate.download(url)


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
    if seen["output"] is None:
        return expired(seen)
    return Permanent(
        "the model ended without a picture: its output has no address of a file",
        code="output_without_picture",
        detail={"prediction": seen["id"]},
    )


def expired(seen: Json) -> Permanent:
    """The error for an output that Replicate has removed, one hour after the prediction's end."""
    return Permanent(
        "Replicate removed the result before it was downloaded",
        code="result_expired",
        detail={"prediction": seen["id"]},
    )
