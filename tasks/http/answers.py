"""Makes the output of `http.request` of an answer: its status, some headers, and JSON or text.

Invariant: the output has no secret in it that was sent, also if the server repeats it in one of the
spellings of `app/outbound/hiding.py`.
"""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from app.outbound.hiding import Hidden
from app.outbound.http import HttpReply
from app.platform import Json

_KEPT = (
    *("content-type", "date", "etag", "last-modified", "link", "location", "retry-after"),
    *("x-request-id",),
)
# Not every codec of Python: `punycode` takes minutes for an answer that was made for it.
_CHARSETS = frozenset(
    (
        *("ascii", "big5", "euc-jp", "euc-kr", "gb18030", "gb2312", "gbk", "iso-8859-1"),
        *("iso-8859-2", "iso-8859-15", "koi8-r", "latin-1", "shift_jis", "us-ascii", "utf-16"),
        *("utf-16be", "utf-16le", "windows-1250", "windows-1251", "windows-1252"),
    )
)
_DEEPEST = 100


class _TooDeep(ValueError):
    """The JSON is nested more deeply than a step's output may be."""


def shaped(reply: HttpReply, secrets: tuple[str, ...], keep: Iterable[str]) -> Json:
    """The output {status, headers, json, text} for an answer.

    `secrets` are the values of the secrets that were sent; `keep` names further headers.
    """
    wanted = {*_KEPT, *map(str.lower, keep)} - {"set-cookie"}
    hidden = Hidden(secrets)
    kept = {name: value for name, value in reply.headers.items() if name in wanted}
    text = text_of(reply)
    try:
        read = json.loads(
            text,
            parse_int=hidden.integer,
            parse_float=hidden.number,
            parse_constant=_no_constant,
        )
        found = _without(read, hidden, 0)
        shown = None
    except (ValueError, RecursionError):  # no JSON, or JSON that is nested too deeply
        found, shown = None, hidden.text(text)
    return {
        "status": reply.status,
        "headers": _without(kept, hidden, 0),
        "json": found,
        "text": shown,
    }


def text_of(reply: HttpReply) -> str:
    """The body as text, by the charset that the answer states if it is a usual one, else UTF-8."""
    kind = reply.headers.get("content-type", "").lower()
    stated = kind.partition("charset=")[2].partition(";")[0].strip(" \"'")
    return reply.body.decode(stated if stated in _CHARSETS else "utf-8", "replace")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON.


def _without(value: Any, hidden: Hidden, depth: int) -> Any:
    if isinstance(value, str):
        return hidden.text(value)
    if depth > _DEEPEST:
        raise _TooDeep
    if isinstance(value, dict):
        return {
            _without(key, hidden, depth): _without(each, hidden, depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_without(each, hidden, depth + 1) for each in value]
    return value
