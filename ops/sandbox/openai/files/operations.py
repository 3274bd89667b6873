"""The endpoints for files. https://platform.openai.com/docs/api-reference/files"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.files.shelf import BATCH_DAYS, DAY, Shelf
from ops.sandbox.openai.files.uploads import Upload, uploads_of
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

MOST_BYTES, MOST_BATCH_BYTES = 512 * 2**20, 200 * 2**20
_UNREADABLE = ("assistants", "vision", "user_data")
"""The purposes of files that cannot be downloaded again."""


class Files:
    """The endpoints for files."""

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        self._desk, self._shelf = desk, shelf

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("POST", "/v1/files", "files.create", self._create),
            ("GET", "/v1/files", "files.list", self._list),
            ("GET", "/v1/files/<id>", "files.retrieve", self._retrieve),
            ("GET", "/v1/files/<id>/content", "files.content", self._content),
            ("DELETE", "/v1/files/<id>", "files.delete", self._delete),
        ]

    def _create(self, call: Call) -> Response:
        given = self._desk.form(call)
        purpose, (sent, *_) = given["purpose"], uploads_of(given, "file")
        _check(purpose, sent)
        seconds = seconds_of(given, "expires_after")
        if seconds is None and purpose == "batch":
            seconds = BATCH_DAYS * DAY
        with self._desk.store.transaction():
            file = self._shelf.put(sent.name, purpose, sent.data, seconds)
            details = {name: file[name] for name in ("filename", "purpose", "bytes")}
            self._desk.note(call, "files", file["id"], details)
        return reply(file)

    def _list(self, call: Call) -> Response:
        asked = self._desk.asked(call)
        purpose = asked.get("purpose")
        found = [each for each in self._shelf.all() if purpose in (None, each["purpose"])]
        return reply(wire.page(found, asked, limit=10_000, most=10_000))

    def _retrieve(self, call: Call, id: str) -> Response:
        return reply(self._shelf.get(id))

    def _content(self, call: Call, id: str) -> Response:
        file = self._shelf.get(id)
        if file["purpose"] in _UNREADABLE:
            words = f"Not allowed to download files of purpose: {file['purpose']}"
            raise wire.error(400, words)
        name = file["filename"].replace('"', "").encode("ascii", "replace").decode()
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        data = self._shelf.read(id)
        return Response(data, headers=headers, content_type="application/octet-stream")

    def _delete(self, call: Call, id: str) -> Response:
        with self._desk.store.transaction():
            file = self._shelf.get(id)
            self._shelf.delete(id)
            details = {name: file[name] for name in ("filename", "purpose", "bytes")}
            self._desk.note(call, "files_deleted", id, details)
        return reply({"id": id, "object": "file", "deleted": True})


def seconds_of(given: Json, param: str) -> int | None:
    """Return after how many seconds a file expires, or None if that is not said.

    Raise OpenAI's error for less than an hour and for more than 30 days.
    """
    asked: Any = given.get(param)
    if asked is None:
        return None
    wire.bounded({f"{param}.seconds": asked["seconds"]}, f"{param}.seconds", 3600, BATCH_DAYS * DAY)
    return int(asked["seconds"])


def _check(purpose: str, sent: Upload) -> None:
    """Raise OpenAI's error for a file that its purpose does not take.

    What the lines of a batch say is looked at by the batch, after its creation.
    """
    most = MOST_BATCH_BYTES if purpose == "batch" else MOST_BYTES
    if len(sent.data) > most:
        words = f"File is too large. The maximum for this purpose is {most} bytes."
        raise wire.error(413, words, "file")
    if not sent.data:
        raise wire.error(400, "File is empty.", "file")
    names = {"batch": "Batch API", "fine-tune": "Fine-Tuning API"}
    if purpose in names:
        if sent.ending != "jsonl":
            raise wire.error(400, f"Invalid file format for {names[purpose]}. Must be .jsonl")
        _check_text(names[purpose], sent.data)
    if purpose == "fine-tune":
        _check_lines(sent.data)


def _check_text(api: str, data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as err:
        raise wire.error(400, f"Invalid file for {api}. Must be utf-8 encoded") from err


def _check_lines(data: bytes) -> None:
    for number, line in enumerate(data.decode().splitlines(), 1):
        try:
            is_right = isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            is_right = False
        if not is_right:
            words = (
                "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
                f"Line {number} is not a dictionary (HINT: line starts with: {line[:20]!r}...)."
            )
            raise wire.error(400, words)
