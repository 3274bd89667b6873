"""The calls about files.

https://platform.openai.com/docs/api-reference/files
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from app.errors import Permanent, Retryable
from app.outbound import http
from app.platform import Json
from tasks.openai import limits
from tasks.openai.client import api, count

CREATE, DELETE = "files.create", "files.delete"
_READ_SECONDS = 120.0
_PAGE, _MOST_PAGES = 1000, 20
# https://platform.openai.com/docs/api-reference/files/create
_DEMAND = http.Demand(
    (http.Limit("files", requests=1000.0, seconds=60.0, burst=10),), told=limits.told
)


def create(request: Json, filename: str, data: bytes, key: str) -> Json:
    """Upload: {id, bytes, purpose, filename, expires_at, created_at}, times in Unix seconds.

    Raises Unknown if the answer is lost.
    """
    seconds = request.get("expires_after_seconds")
    expires: Json = {"anchor": "created_at", "seconds": seconds}
    more: Json = {} if seconds is None else {"expires_after": expires}
    return api().perform(
        CREATE,
        lambda sdk: sdk.files.with_raw_response.create(
            file=(filename, data),
            purpose=request["purpose"],
            **more,
            extra_headers={"Idempotency-Key": key},
        ),
        _file,
        _DEMAND,
        # It costs nothing, but a second one would be another file.
        is_billed=True,
        read_seconds=_READ_SECONDS,
    )


def retrieve(file: str) -> Json | None:
    """A file, or None if OpenAI has none with this id."""
    try:
        return api().perform(
            "files.retrieve",
            lambda sdk: sdk.files.with_raw_response.retrieve(file),
            _file,
            _DEMAND,
        )
    except Permanent as err:
        if err.code == "not_found":
            return None
        raise


def delete(file: str) -> str:
    """Delete a file: `deleted`, or `already` if OpenAI has none with this id."""
    try:
        api().perform(
            DELETE,
            lambda sdk: sdk.files.with_raw_response.delete(file),
            lambda _: None,
            _DEMAND,
        )
    except Permanent as err:
        if err.code == "not_found":
            return "already"
        raise
    return "deleted"


def listed(purpose: str, since: datetime, after: str | None = None) -> Iterator[Json]:
    """The files of a purpose that were made since a time, the newest first. `after`: those that
    were made before that file; raises Permanent if there is no such file.

    Raises Retryable if the list has more pages than are read.
    """
    more: Json = {} if after is None else {"after": after}
    for _ in range(_MOST_PAGES):
        ask = partial(_list, purpose=purpose, more=more)
        page = api().perform("files.list", ask, _page, _DEMAND)
        for each in page["files"]:
            if each["created_at"] < since.timestamp():
                return
            yield each
        if not page["has_more"] or not page["files"]:
            return
        more = {"after": page["files"][-1]["id"]}
    raise Retryable("OpenAI's list of files has too many pages", code="list_too_long")


def _list(sdk: Any, purpose: str, more: Json) -> Any:
    return sdk.files.with_raw_response.list(purpose=purpose, order="desc", limit=_PAGE, **more)


def _page(seen: Json) -> Json:
    has_more = seen.get("has_more", False)
    if not isinstance(has_more, bool):
        raise TypeError("has_more is neither true nor false")
    return {"files": [_file(each) for each in seen["data"]], "has_more": has_more}


def _file(seen: Json) -> Json:
    expires = seen.get("expires_at")
    return {
        "id": http.text_at(seen, "id"),
        "bytes": count(seen["bytes"]),
        "purpose": http.text_at(seen, "purpose"),
        "filename": http.text_at(seen, "filename"),
        "expires_at": None if expires is None else _time(expires),
        "created_at": _time(seen["created_at"]),
    }


def _time(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise ValueError("not a time")
    return value
