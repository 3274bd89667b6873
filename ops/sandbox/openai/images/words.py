"""What the imitated OpenAI sees in a picture that is given by its address: the words in it.

These are the texts in the file (a PNG's text chunks, a JPEG's comment). So a test decides what a
picture shows by writing it there. Pictures are fetched from loopback only: the sandbox asks nobody
else.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import PIL.Image
import urllib3

from ops.sandbox.openai import wire
from ops.sandbox.wire import Refusal

FETCH_SECONDS, MOST_BYTES = 10.0, 20 * 2**20
_KINDS = ("PNG", "JPEG", "WEBP", "GIF")
_MOST_WORDS = 10_000


def words_in(address: str, param: str) -> str:
    """Return the words in a picture; raise OpenAI's error for one that cannot be read.

    The address is a data URL, or one from which the picture is fetched.
    """
    data = _data_of(address, param)
    try:
        with PIL.Image.open(io.BytesIO(data), formats=_KINDS) as found:
            return " ".join(_texts(found.info.values()))[:_MOST_WORDS]
    except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as err:
        words = (
            "You uploaded an unsupported image. Please make sure your image has of one the "
            "following formats: ['png', 'jpeg', 'gif', 'webp']."
        )
        raise wire.error(400, words, param, "invalid_image_format") from err


def _data_of(address: str, param: str) -> bytes:
    if address.startswith("data:"):
        return _data_url(address, param)
    if not address.startswith(("http://", "https://")):
        words = f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
        raise wire.error(400, words, param, "invalid_value")
    return _fetched(address, param)


def _data_url(address: str, param: str) -> bytes:
    head, comma, rest = address.partition(",")
    try:
        raw = unquote_to_bytes(rest)
        data = base64.b64decode(raw, validate=True) if head.endswith(";base64") else raw
    except (binascii.Error, ValueError):
        data = b""
    if not comma or not data:
        words = f"Invalid '{param}'. Expected a base64-encoded data URL with an image MIME type."
        raise wire.error(400, words, param, "invalid_base64")
    return data


def _fetched(address: str, param: str) -> bytes:
    try:
        if urlsplit(address).hostname not in ("127.0.0.1", "localhost"):
            raise _unreachable(address, param)
        answer = urllib3.request(
            "GET", address, timeout=FETCH_SECONDS, retries=False, preload_content=False
        )
    except (urllib3.exceptions.HTTPError, ValueError) as err:
        raise _unreachable(address, param) from err
    try:
        data = answer.read(MOST_BYTES + 1)
    except urllib3.exceptions.HTTPError as err:
        raise _unreachable(address, param) from err
    finally:
        answer.close()
    if answer.status != 200 or len(data) > MOST_BYTES:
        raise _unreachable(address, param)
    return data


def _unreachable(address: str, param: str) -> Refusal:
    words = f"Failed to download image from {address[:300]}."
    return wire.error(400, words, param, "invalid_image_url")


def _texts(values: Any) -> list[str]:
    found = []
    for each in values:
        if isinstance(each, bytes):
            found.append(each.decode("latin-1"))
        elif isinstance(each, str):
            found.append(str(each))
    return found
