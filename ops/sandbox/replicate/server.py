"""An imitation of Replicate: predictions, files, models and result files on one port.

Replicate has no idempotency keys and no metadata: a prediction can be recognised only by its input.
https://replicate.com/docs/reference/http
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import mimetypes
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box, iso, token36
from ops.sandbox.faults import Fault
from ops.sandbox.limits import Window
from ops.sandbox.replicate.models import MODELS, Model, find_model, find_version
from ops.sandbox.replicate.runs import Runs, public
from ops.sandbox.store import Json, Row
from ops.sandbox.wire import Call, Refusal, Route, Vendor, bearer, json_object, reply

PAGE = 100
PREDICTION_FIELDS = ("input", "stream", "webhook", "webhook_events_filter")
FILTERS = ("start", "output", "logs", "completed")
MAX_FILE = 100 * 1024 * 1024


class Replicate(Vendor):
    """The WSGI application on Replicate's port (the base URL does not include /v1)."""

    name = "replicate"

    def __init__(self, box: Box) -> None:
        self.runs = Runs(box)
        self._creations = Window()
        super().__init__(box)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        model = "/v1/models/<owner>/<name>"
        return [
            ("POST", "/v1/predictions", "predictions.create", self._create),
            ("GET", "/v1/predictions", "predictions.list", self._list),
            ("GET", "/v1/predictions/<id>", "predictions.get", self._get),
            ("POST", "/v1/predictions/<id>/cancel", "predictions.cancel", self._cancel),
            ("POST", f"{model}/predictions", "predictions.create", self._create_for_model),
            ("GET", "/v1/models", "models.list", self._models),
            ("GET", model, "models.get", self._model),
            ("GET", f"{model}/versions", "models.versions.list", self._versions),
            ("GET", f"{model}/versions/<id>", "models.versions.get", self._version),
            ("POST", "/v1/files", "files.create", self._upload),
            ("GET", "/v1/files", "files.list", self._files),
            ("GET", "/v1/files/<id>", "files.get", self._file),
            ("DELETE", "/v1/files/<id>", "files.delete", self._delete_file),
            ("GET", "/v1/files/<id>/download", "files.download", self._download),
            ("GET", "/v1/account", "account.get", self._account),
            ("GET", "/v1/webhooks/default/secret", "webhooks.secret", self._secret),
            ("GET", "/pbxt/<blob>/<name>", "delivery.get", self._delivery),
        ]

    def authenticate(self, call: Call) -> None:
        """Raise Replicate's 401 if the token is wrong; result files and signed URLs need none."""
        if call.operation == "delivery.get" or self._is_signed(call):
            return
        token = bearer(call.request)
        if token != self.box.credentials.REPLICATE_API_TOKEN:
            detail = "You did not pass an authentication token"
            if token is not None:
                detail = "You did not pass a valid authentication token"
            raise _problem(401, "Unauthenticated", detail)

    def _is_signed(self, call: Call) -> bool:
        arguments = call.request.args
        if call.operation != "files.download" or "signature" not in arguments:
            return False
        file_id = call.request.path.split("/")[-2]
        expiry = arguments.get("expiry", "")
        expected = self._signature(arguments.get("owner", ""), expiry, file_id)
        is_fresh = expiry.isdigit() and int(expiry) > time.time()
        return is_fresh and hmac.compare_digest(expected, arguments["signature"])

    def _signature(self, owner: str, expiry: str, file_id: str) -> str:
        secret = self.box.credentials.REPLICATE_WEBHOOK_SECRET.removeprefix("whsec_")
        text = f"{owner} {file_id} {expiry}".encode()
        return base64.b64encode(
            hmac.new(base64.b64decode(secret), text, hashlib.sha256).digest()
        ).decode()

    def missing(self, request: Request) -> Response:
        """Return Replicate's 404."""
        return _not_found().response()

    def failure(self, status: int, fault: Fault) -> Response:
        """Return a problem document in Replicate's format."""
        if status == 429:
            seconds = fault.parameters.get("retry_after", 1)
            detail = f"Request was throttled. Expected available in {seconds} second(s)."
            return _problem(429, "Too many requests", detail).response()
        detail = fault.parameters.get("message", "Internal server error")
        return _problem(status, "Internal server error", detail).response()

    def finish(self, call: Call, response: Response) -> Response:
        """Mark errors as problem+json."""
        if response.status_code >= 400 and response.mimetype == "application/json":
            response.content_type = "application/problem+json"
        return response

    def _create(self, call: Call) -> Response:
        body = _json(call.request)
        version = body.pop("version", None)
        if not isinstance(version, str):
            raise _invalid(
                [{"type": "required", "field": "", "description": "version is required"}]
            )
        model = find_version(version)
        if model is None:
            detail = (
                "The specified version does not exist (or perhaps you don't have permission to "
                "use it?)"
            )
            raise _problem(422, "Invalid version or not permitted", detail)
        return self._predict(call, model, body)

    def _create_for_model(self, call: Call, owner: str, name: str) -> Response:
        return self._predict(call, _known_model(owner, name), _json(call.request))

    def _predict(self, call: Call, model: Model, body: Json) -> Response:
        _check(model, body)
        self._limit()
        prediction = self.runs.create(call.operation, model, body)
        wanted = re.search(r"\bwait(?:=(\d+))?", call.request.headers.get("Prefer", ""))
        if not wanted:
            return reply(prediction, 201)
        seconds = min(60.0, float(wanted.group(1) or 60))
        prediction = self.runs.wait(prediction["id"], seconds)
        return reply(prediction, 201 if prediction["completed_at"] else 202)

    def _limit(self) -> None:
        """Raise the 429 of an account that may create so few predictions in a window."""
        settings = self.box.settings
        allowed = int(settings.number("replicate.creations_per_window"))
        left, wait = self._creations.take(allowed, settings.number("replicate.window_seconds"))
        if left <= 0:
            seconds = max(1, math.ceil(wait))
            detail = f"Request was throttled. Your rate limit resets in ~{seconds}s."
            raise _problem(429, "Too many requests", detail)

    def _get(self, call: Call, id: str) -> Response:
        row = self.box.store.get("prediction", id)
        if row is None:
            raise _not_found()
        return reply(public(row.body))

    def _cancel(self, call: Call, id: str) -> Response:
        prediction = self.runs.cancel(call.operation, id)
        if prediction is None:
            raise _not_found()
        return reply(prediction)

    def _list(self, call: Call) -> Response:
        seen_until = time.time() - self.box.settings.number("replicate.list_lag_seconds")
        asked = {
            name: call.request.args.get(name, "") for name in ("created_after", "created_before")
        }
        between = {name: _moment(name, value) for name, value in asked.items() if value}
        return self._page(
            call,
            "prediction",
            "/v1/predictions",
            lambda row: public(row.body),
            min(seen_until, between.get("created_before", seen_until)),
            since=between.get("created_after", 0.0),
            asked={name: asked[name] for name in between},
        )

    def _page(
        self,
        call: Call,
        kind: str,
        path: str,
        show: Callable[[Row], Json],
        seen_until: float | None = None,
        *,
        since: float = 0.0,
        asked: Mapping[str, str] | None = None,
    ) -> Response:
        """A page of objects, newest first; the address of the next one asks for the same."""
        before = _cursor(call.request)
        until = time.time() + 1 if seen_until is None else seen_until
        where = "seq < ? AND created <= ? AND created >= ?"
        rows = self.box.store.query(kind, where, (before, until, since), PAGE + 1)
        following = None
        if len(rows) > PAGE:
            rows = rows[:PAGE]
            cursor = base64.urlsafe_b64encode(f"s={rows[-1].seq}".encode()).decode()
            query = urlencode({**(asked or {}), "cursor": cursor})
            following = f"{self.box.urls['replicate']}{path}?{query}"
        return reply({"previous": None, "next": following, "results": [show(row) for row in rows]})

    def _models(self, call: Call) -> Response:
        results = [model.model_object() for model in MODELS]
        return reply({"previous": None, "next": None, "results": results})

    def _model(self, call: Call, owner: str, name: str) -> Response:
        return reply(_known_model(owner, name).model_object())

    def _versions(self, call: Call, owner: str, name: str) -> Response:
        results = [_known_model(owner, name).version_object()]
        return reply({"previous": None, "next": None, "results": results})

    def _version(self, call: Call, owner: str, name: str, id: str) -> Response:
        model = _known_model(owner, name)
        if model.version != id:
            raise _not_found()
        return reply(model.version_object())

    def _upload(self, call: Call) -> Response:
        given = call.request.files.get("content")
        if given is None:
            raise _problem(400, "Bad request", "Missing content")
        data = given.read()
        if len(data) > MAX_FILE:
            raise _problem(413, "Content too large", "Files must be less than 100MB in size")
        metadata = _metadata(call.request)
        name = given.filename or "file"
        kind = given.mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
        file_id, now = token36(40), time.time()
        expires = now + self.box.settings.number("replicate.file_expiry_seconds")
        sha256 = hashlib.sha256(data).hexdigest()
        body = {
            "id": file_id,
            "name": name,
            "content_type": kind,
            "size": len(data),
            "etag": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            "checksums": {
                "sha256": sha256,
                "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            },
            "metadata": metadata,
            "created_at": iso(now),
            "expires_at": iso(expires),
            "urls": {"get": f"{self.box.urls['replicate']}/v1/files/{file_id}"},
        }
        with self.box.store.transaction():
            self.box.store.write_blob(f"file-{file_id}", data)
            self.box.store.put("file", file_id, body, "file.expire", expires)
            details = {"name": name, "metadata": metadata, "sha256": sha256}
            self.box.store.journal("replicate", call.operation, "files", file_id, None, details)
        return reply(body, 201)

    def _files(self, call: Call) -> Response:
        return self._page(call, "file", "/v1/files", lambda row: row.body)

    def _file(self, call: Call, id: str) -> Response:
        row = self.box.store.get("file", id)
        if row is None:
            raise _problem(404, "Not found", "File not found")
        return reply(row.body)

    def _delete_file(self, call: Call, id: str) -> Response:
        with self.box.store.transaction():
            row = self.box.store.get("file", id)
            if row is None:
                raise _problem(404, "Not found", "File not found")
            self.runs.delete_file(id)
            details = {"name": row.body["name"], "metadata": row.body["metadata"]}
            self.box.store.journal("replicate", call.operation, "files_deleted", id, None, details)
        return Response(status=204)

    def _download(self, call: Call, id: str) -> Response:
        row, data = self.box.store.get("file", id), self.box.store.read_blob(f"file-{id}")
        if row is None or data is None:
            raise _problem(404, "Not found", "File not found")
        return Response(data, content_type=row.body["content_type"])

    def _account(self, call: Call) -> Response:
        body = {
            "type": "organization",
            "username": "playalter-sandbox",
            "name": "Playalter Sandbox",
        }
        return reply(body | {"github_url": "https://github.com/playalter-sandbox"})

    def _secret(self, call: Call) -> Response:
        return reply({"key": self.box.credentials.REPLICATE_WEBHOOK_SECRET})

    def _delivery(self, call: Call, blob: str, name: str) -> Response:
        row = self.box.store.get("delivery", blob)
        data = self.box.store.read_blob(blob) if row and row.body["name"] == name else None
        if data is None:
            raise Refusal(404, {"detail": "Not found"})
        kind = mimetypes.guess_type(name)[0]
        headers = {"Cache-Control": "private, max-age=3600", "Accept-Ranges": "none"}
        return Response(data, headers=headers, content_type=kind)


def _problem(status: int, title: str, detail: str, **more: Any) -> Refusal:
    return Refusal(status, {"title": title, "detail": detail, "status": status} | more)


def _not_found() -> Refusal:
    return _problem(404, "Not found", "The requested resource could not be found.")


def _invalid(fields: list[Json]) -> Refusal:
    lines = "".join(
        f"- {field['field']}: {field['description']}\n".replace("- : ", "- ") for field in fields
    )
    return _problem(422, "Input validation failed", lines, invalid_fields=fields)


def _json(request: Request) -> Json:
    body = json_object(request)
    if body is None:
        raise _problem(400, "Bad request", "The request body is not valid JSON.")
    return body


def _known_model(owner: str, name: str) -> Model:
    model = find_model(owner, name)
    if model is None:
        raise _not_found()
    return model


def _check(model: Model, body: Json) -> None:
    fields: list[Json] = [
        {
            "type": "additional_property_not_allowed",
            "field": "",
            "description": f"Additional property {name} is not allowed",
        }
        for name in body
        if name not in PREDICTION_FIELDS
    ]
    given = body.get("input")
    if not isinstance(given, dict):
        fields.append({"type": "required", "field": "", "description": "input is required"})
    else:
        fields += model.wrong_inputs(given)
    hook = body.get("webhook")
    if hook and not str(hook).startswith(("http://", "https://")):
        text = "Does not match format 'uri'"
        fields.append({"type": "format", "field": "webhook", "description": text})
    if any(event not in FILTERS for event in body.get("webhook_events_filter") or []):
        text = f"Must be one of: {', '.join(FILTERS)}"
        fields.append({"type": "enum", "field": "webhook_events_filter", "description": text})
    if fields:
        raise _invalid(fields)


def _metadata(request: Request) -> Json:
    part = request.files.get("metadata")
    raw = part.read().decode() if part else request.form.get("metadata") or "{}"
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _problem(400, "Bad request", "metadata must be a JSON object")
    return found


def _moment(name: str, value: str) -> float:
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError as error:
        raise _problem(400, "Bad request", f"Invalid {name}") from error


def _cursor(request: Request) -> int:
    given = request.args.get("cursor")
    if not given:
        return 2**62
    try:
        return int(base64.urlsafe_b64decode(given).decode().removeprefix("s="))
    except ValueError as error:
        raise _problem(400, "Bad request", "Invalid cursor") from error
