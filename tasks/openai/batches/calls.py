"""The calls about files and batches. They import no SDK, which would hold a file in memory thrice.

https://platform.openai.com/docs/api-reference/batch
https://platform.openai.com/docs/api-reference/files
"""

import json
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any
from urllib.parse import quote

from app.errors import Permanent
from app.outbound import http
from app.outbound.scopes import MAX_BODY_BYTES
from app.outbound.spare import spare
from app.payload import text_of
from app.platform import Json
from app.settings import needed
from tasks.openai import limits
from tasks.openai.client import SETTING
from tasks.openai.settings import OpenAISettings

_FILE_SECONDS = 200.0
"""How long a file may be on its way."""
_RESULT_BYTES = 2 * 1024**3
_KEPT_SECONDS = 30 * 86_400
"""So long OpenAI keeps the files of answers, if nobody deletes them: the longest that it allows."""
_LARGE = 100_000
"""A body of so many bytes takes longer than other calls."""
_PAGE, _MOST_PAGES = 100, 100
_EARLIER_SECONDS = 3600.0
"""OpenAI's clock and ours differ by less."""


def name_of(reference: str) -> str:
    """The name of the file of a batch, by which it is found."""
    return f"playalter-{reference}.jsonl"


def upload(reference: str, lines: Iterable[bytes]) -> str:
    """Send the file of a batch, each of the `lines` with its end; the id of the file.

    Raises Unknown if the answer is lost.
    """
    boundary = secrets.token_hex(16)
    body = bytearray(
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{name_of(reference)}"\r\nContent-Type: application/jsonl\r\n\r\n'.encode()
    )
    for line in lines:
        body += line
    body += f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    made = _ask("POST", "/files", "files.create", body=bytes(body), kind=kind, is_making=True)
    return http.text_at(made, "id")


def find_upload(reference: str, since: datetime) -> str | None:
    """The id of the file of a batch that was sent after `since`; None if OpenAI lists none."""
    listed = _listed("/files", "files.list", since, {"purpose": "batch", "order": "desc"})
    name = name_of(reference)
    return next((str(each["id"]) for each in listed if each.get("filename") == name), None)


def create(reference: str, file: str, endpoint: str) -> str:
    """Ask for a batch of a file; its id. Raises Unknown if the answer is lost."""
    body = {
        "input_file_id": file,
        "endpoint": endpoint,
        "completion_window": "24h",
        "metadata": {"reference": reference},
        "output_expires_after": {"anchor": "created_at", "seconds": _KEPT_SECONDS},
    }
    given = text_of(body).encode()
    made = _ask("POST", "/batches", "batches.create", body=given, is_making=True)
    return http.text_at(made, "id")


def find(reference: str, since: datetime) -> str | None:
    """The id of a batch that was asked for after `since`; None if OpenAI lists none."""
    for each in _listed("/batches", "batches.list", since, {}):
        marks = each.get("metadata")
        if isinstance(marks, dict) and marks.get("reference") == reference:
            return http.text_at(each, "id")
    return None


def retrieve(batch: str) -> Json:
    """A batch as it is now. Raises Permanent `not_found` if there is none."""
    return _ask("GET", f"/batches/{quote(batch, safe='')}", "batches.retrieve")


def cancel(batch: str) -> None:
    """Let OpenAI do no further line of a batch. One that has ended stays as it is."""
    try:
        _ask("POST", f"/batches/{quote(batch, safe='')}/cancel", "batches.cancel")
    except Permanent:
        # It has ended meanwhile, which the next look shows.
        return


def download(file: str, into: IO[bytes]) -> None:
    """Write what a file holds into another. Raises Permanent `not_found` if there is none."""
    _ask("GET", f"/files/{quote(file, safe='')}/content", "files.content", into=into)


def delete(file: str) -> None:
    """Delete a file; one that is not there is no error."""
    try:
        _ask("DELETE", f"/files/{quote(file, safe='')}", "files.delete")
    except Permanent as err:
        if err.code != "not_found":
            raise


def _listed(path: str, name: str, since: datetime, params: dict[str, str]) -> Iterator[Json]:
    """The objects of a list, the newest first, back to `since`."""
    after: dict[str, str] = {}
    earliest = since.timestamp() - _EARLIER_SECONDS
    for _ in range(_MOST_PAGES):
        page = _ask("GET", path, name, params=params | {"limit": str(_PAGE)} | after)
        found: list[Json] = page["data"]
        yield from found
        if not page.get("has_more") or not found or found[-1]["created_at"] < earliest:
            return
        after = {"after": http.text_at(found[-1], "id")}


def _ask(
    method: str,
    path: str,
    name: str,
    *,
    body: bytes | None = None,
    kind: str = "application/json",
    params: dict[str, str] | None = None,
    is_making: bool = False,
    into: IO[bytes] | None = None,
) -> Json:
    """Make a call, and return the JSON of its answer; {} if the answer went `into` a file.

    If it `is_making` something, the call has an unknown outcome without an answer.
    """
    settings = OpenAISettings.current()
    headers = {"Authorization": f"Bearer {needed(settings.api_key, SETTING)}"}
    is_large = into is not None or len(body or b"") > _LARGE
    with (
        http.operation(
            "openai",
            name,
            repeatable=not is_making,
            read_seconds=_FILE_SECONDS if is_large else http.READ_SECONDS,
            slow_seconds=_FILE_SECONDS if is_large else http.SLOW_SECONDS,
            max_bytes=_RESULT_BYTES if into is not None else MAX_BODY_BYTES,
            spare=spare(SETTING, settings.api_key, settings.api_key_old),
            into=into,
        ),
        http.reading(),
    ):
        if body is not None:
            headers["Content-Type"] = kind
        reply = http.send(
            method, f"{settings.base_url}{path}", headers=headers, body=body, params=params
        )
        if reply.status == 200 and into is not None:
            return {}
        seen: Any = http.bounded(json.loads(reply.body))
        if reply.status == 200:
            return dict(seen)
        error = seen["error"]
        raise _refusal(reply, error if isinstance(error, dict) else {})


def _refusal(reply: http.HttpReply, error: Json) -> Exception:
    code = error.get("code")
    if not isinstance(code, str):
        code = "not_found" if reply.status == 404 else None
    return http.refusal(
        "openai",
        reply.status,
        str(error.get("message") or "no message"),
        setting=SETTING,
        headers=reply.headers,
        code=code,
        is_exhausted=limits.is_exhausted(code) or limits.is_exhausted(error.get("type")),
    )
