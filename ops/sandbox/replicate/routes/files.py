"""Uploaded files, which are kept for a day, and the files that predictions and trainings made."""

from __future__ import annotations

import base64
import hashlib
import hmac
import mimetypes
from collections.abc import Sequence

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box, iso, token36
from ops.sandbox.replicate import paging
from ops.sandbox.replicate.described import is_storable
from ops.sandbox.replicate.problems import not_found, problem, wrong
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Refusal, Route, reply, strict_json

MAX_FILE = 100 * 1024 * 1024
_LONGEST_NAME = 255
_FIELDS = ("content", "filename", "metadata", "type")


class Files:
    """Stores, lists, shows and deletes files."""

    def __init__(self, box: Box) -> None:
        self.box, self.store = box, box.store
        box.timers.register("file.expire", "file", self.delete, is_virtual=True)

    def routes(self) -> Sequence[Route]:
        """Return the calls."""
        return [
            ("POST", "/v1/files", "files.create", self._upload),
            ("GET", "/v1/files", "files.list", self._list),
            ("GET", "/v1/files/<id>", "files.get", self._get),
            ("DELETE", "/v1/files/<id>", "files.delete", self._delete),
            ("GET", "/v1/files/<id>/download", "files.download", self._download),
            ("GET", "/pbxt/<blob>/<name>", "delivery.get", self._delivered),
        ]

    def is_signed(self, call: Call) -> bool:
        """Whether a download needs no token: its address has a signature."""
        return call.operation == "files.download" and "signature" in call.request.args

    def delete(self, file_id: str) -> None:
        """Delete an uploaded file."""
        with self.store.transaction():
            self.store.delete("file", file_id)
            self.store.delete_blob(f"file-{file_id}")

    def _upload(self, call: Call) -> Response:
        request = call.request
        for name in {*request.form, *request.files}:
            if name not in _FIELDS:
                text = f"Additional property {name} is not allowed"
                raise wrong("", text, "additional_property_not_allowed")
        given = request.files.get("content")
        if given is None:
            raise problem(400, "Bad request", "Missing content")
        data = given.read()
        if len(data) > MAX_FILE:
            raise problem(413, "Content too large", "Files must be less than 100MB in size")
        metadata = _metadata(request)
        name = request.form.get("filename") or given.filename or "file"
        if len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
            text = f"String length must be less than or equal to {_LONGEST_NAME}"
            raise wrong("filename", text, "string_lte")
        kind = request.form.get("type") or given.mimetype
        kind = kind or mimetypes.guess_type(name)[0] or "application/octet-stream"
        body = self._new(name, kind, data, metadata)
        expires = self.box.settings.number("replicate.file_expiry_seconds")
        now = self.box.now()
        body |= {"created_at": iso(now), "expires_at": iso(now + expires)}
        with self.store.transaction():
            self.store.write_blob(f"file-{body['id']}", data)
            due = now - self.box.ahead() + expires
            self.store.put("file", body["id"], body, "file.expire", due, now)
            details = {"name": name, "metadata": metadata, "sha256": body["checksums"]["sha256"]}
            self.store.journal("replicate", call.operation, "files", body["id"], None, details)
        return reply(body, 201)

    def _new(self, name: str, kind: str, data: bytes, metadata: Json) -> Json:
        file_id = token36(40)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return {
            "id": file_id,
            "name": name,
            "content_type": kind,
            "size": len(data),
            "etag": md5,
            "checksums": {"sha256": hashlib.sha256(data).hexdigest(), "md5": md5},
            "metadata": metadata,
            "urls": {"get": f"{self.box.urls['replicate']}/v1/files/{file_id}"},
        }

    def _list(self, call: Call) -> Response:
        url = f"{self.box.urls['replicate']}/v1/files"
        return reply(paging.of_rows(call.request, url, self.store, "file", lambda row: row.body))

    def _get(self, call: Call, id: str) -> Response:
        row = self.store.get("file", id)
        if row is None:
            raise not_found("File not found")
        return reply(row.body)

    def _delete(self, call: Call, id: str) -> Response:
        with self.store.transaction():
            row = self.store.get("file", id)
            if row is None:
                raise not_found("File not found")
            self.delete(id)
            details = {"name": row.body["name"], "metadata": row.body["metadata"]}
            self.store.journal("replicate", call.operation, "files_deleted", id, None, details)
        return Response(status=204)

    def _download(self, call: Call, id: str) -> Response:
        row = self.store.get("file", id)
        data = self.store.read_blob(f"file-{id}") if row else None
        if row is None or data is None or (self.is_signed(call) and not self._is_right(call, id)):
            raise not_found("File not found")
        return Response(data, content_type=row.body["content_type"])

    def _is_right(self, call: Call, file_id: str) -> bool:
        given = call.request.args
        expiry = given.get("expiry", "")
        signature = self.signature(given.get("owner", ""), expiry, file_id)
        is_fresh = expiry.isdecimal() and int(expiry) > self.box.now()
        sent = given["signature"].encode("utf-8", "replace")
        return is_fresh and hmac.compare_digest(signature.encode(), sent)

    def signature(self, owner: str, expiry: str, file_id: str) -> str:
        """Return the signature of a download's address.

        The secret of the Files API is not published by any call; here it is that of the webhooks.
        """
        secret = self.box.credentials.REPLICATE_WEBHOOK_SECRET.removeprefix("whsec_")
        text = f"{owner} {file_id} {expiry}".encode("utf-8", "replace")
        mac = hmac.new(base64.b64decode(secret), text, hashlib.sha256).digest()
        return base64.b64encode(mac).decode()

    def _delivered(self, call: Call, blob: str, name: str) -> Response:
        row = self.store.get("delivery", blob)
        data = self.store.read_blob(blob) if row and row.body["name"] == name else None
        if data is None:
            raise Refusal(404, {"detail": "Not found"})
        kind = mimetypes.guess_type(name)[0]
        headers = {"Cache-Control": "private, max-age=3600", "Accept-Ranges": "none"}
        return Response(data, headers=headers, content_type=kind)


def _metadata(request: Request) -> Json:
    part = request.files.get("metadata")
    raw = part.read().decode("utf-8", "replace") if part else request.form.get("metadata") or "{}"
    try:
        found = strict_json(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not is_storable(found):
        raise problem(400, "Bad request", "metadata must be a JSON object")
    return found
