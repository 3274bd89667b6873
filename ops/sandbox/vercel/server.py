"""An imitation of Vercel: files, and deployments that take some time and publish pages.

A client can find a deployment again by its `meta`. https://vercel.com/docs/rest-api
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import posixpath
import re
import time
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box, token36, token62
from ops.sandbox.faults import Fault
from ops.sandbox.store import Json, Row
from ops.sandbox.vercel.pages import find_deployment
from ops.sandbox.wire import Call, Refusal, Route, Vendor, bearer, json_object, reply

USER = "usr_PlayalterSandbox0001"
TEAM = "team_PlayalterSandbox001"
STATES = ("QUEUED", "BUILDING", "READY", "ERROR")


class Vercel(Vendor):
    """The WSGI application on the port of Vercel's API."""

    name = "vercel"

    def __init__(self, box: Box) -> None:
        box.timers.register("deployment.build", "deployment", self._build)
        box.timers.register("deployment.ready", "deployment", self._ready)
        super().__init__(box)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        one = "/v13/deployments/<id>"
        return [
            ("POST", "/v2/files", "files.create", self._upload),
            ("POST", "/v13/deployments", "deployments.create", self._create),
            ("GET", one, "deployments.get", self._get),
            ("DELETE", one, "deployments.delete", self._delete),
            ("GET", "/v6/deployments", "deployments.list", self._list),
            ("GET", "/v7/deployments", "deployments.list", self._list),
            ("GET", "/v2/user", "user.get", self._user),
        ]

    def authenticate(self, call: Call) -> None:
        """Raise Vercel's 403 for a wrong token (Vercel does not answer 401)."""
        token = bearer(call.request)
        if token is None:
            raise _error(403, "forbidden", "The request is missing an authentication token")
        if token != self.box.credentials.VERCEL_TOKEN:
            raise _error(403, "forbidden", "Not authorized", invalidToken=True)

    def missing(self, request: Request) -> Response:
        """Return Vercel's 404."""
        return _error(404, "not_found", "The requested API endpoint was not found").response()

    def failure(self, status: int, fault: Fault) -> Response:
        """Return an error in Vercel's format."""
        if status == 429:
            seconds = int(fault.parameters.get("retry_after", 1))
            limit = {"total": 100, "remaining": 0, "reset": int(time.time()) + seconds}
            refusal = _error(429, "rate_limited", "The rate limit of 100 exceeded", limit=limit)
            refusal.headers = {
                "X-RateLimit-Limit": "100",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(limit["reset"]),
            }
            return refusal.response()
        message = fault.parameters.get("message", "An unexpected internal error occurred")
        code = str(fault.parameters.get("code", "internal_server_error"))
        return _error(status, code, message).response()

    def finish(self, call: Call, response: Response) -> Response:
        """Add Vercel's header with the request's id."""
        response.headers["x-vercel-id"] = f"iad1::{token36(5)}-{int(time.time() * 1000)}"
        return response

    def _upload(self, call: Call) -> Response:
        headers, data = call.request.headers, call.request.get_data()
        digest = headers.get("x-vercel-digest") or headers.get("x-now-digest") or ""
        if _sha1(data) != digest.lower():
            raise _error(400, "bad_request", "Digest is not valid")
        size = headers.get("x-now-size") or headers.get("Content-Length") or "0"
        if int(size) != len(data):
            raise _error(400, "bad_request", "File size is not valid")
        with self.box.store.transaction():
            if self.box.store.get("vercel_file", digest) is None:
                self.box.store.write_blob(f"sha1-{digest}", data)
                self.box.store.put("vercel_file", digest, {"size": len(data)})
                self.box.store.journal(
                    "vercel", call.operation, "files", digest, None, {"size": len(data)}
                )
        return reply({"urls": []})

    def _create(self, call: Call) -> Response:
        body = json_object(call.request)
        if body is None:
            raise _error(400, "bad_request", "Invalid JSON")
        _check(body)
        with self.box.store.transaction():
            files = self._files(body.get("files") or [])
            deployment = self._new(body, call)
            deployment["sandbox"] = {"files": files, "fail": self._planned_failure(call)}
            build = self.box.settings.number("vercel.build_seconds")
            due = time.time() + 0.2 * build
            uid = deployment["id"]
            self.box.store.put("deployment", uid, deployment, "deployment.build", due)
            self._note(call.operation, "deployments", deployment)
            self._webhook("deployment.created", deployment)
        return reply(_public(deployment))

    def _planned_failure(self, call: Call) -> str | None:
        fault = self.box.faults.take("vercel", call.operation, ("fail",), call.text)
        if fault is None:
            return None
        return str(fault.parameters.get("error") or 'Command "npm run build" exited with 1')

    def _files(self, given: list[Json]) -> dict[str, str]:
        files, missing = {}, []
        for each in given:
            path = posixpath.normpath("/" + str(each.get("file", ""))).lstrip("/")
            if "data" in each:
                files[path] = self._inline(each)
            elif self.box.store.get("vercel_file", str(each.get("sha")).lower()) is None:
                missing.append(str(each.get("sha")))
            else:
                files[path] = str(each["sha"]).lower()
        if missing:
            raise _error(400, "missing_files", "Missing files", missing=sorted(set(missing)))
        return files

    def _inline(self, each: Json) -> str:
        data = str(each["data"]).encode()
        if each.get("encoding") == "base64":
            try:
                data = base64.b64decode(data, validate=True)
            except binascii.Error as error:
                raise _error(400, "bad_request", f"Invalid base64: {each['file']}") from error
        digest = _sha1(data)
        self.box.store.write_blob(f"sha1-{digest}", data)
        self.box.store.put("vercel_file", digest, {"size": len(data)})
        return digest

    def _new(self, body: Json, call: Call) -> Json:
        name, now = body["name"], int(time.time() * 1000)
        uid = f"dpl_{token62(28)}"
        url = f"{name[:40].strip('-')}-{token36(9)}.vercel.app"
        project = f"prj_{hashlib.sha256(name.encode()).hexdigest()[:28]}"
        target = body.get("target") if body.get("target") in ("production", "staging") else None
        inspector = f"https://vercel.com/playalter-sandbox/{name}/{uid[4:]}"
        return {
            "id": uid,
            "alias": [f"{name}.vercel.app"] if target == "production" else [],
            "aliasAssigned": False,
            "aliasError": None,
            "bootedAt": now,
            "build": {"env": []},
            "buildSkipped": False,
            "buildingAt": now,
            "createdAt": now,
            "createdIn": "iad1",
            "creator": {"uid": USER, "username": "playalter-sandbox"},
            "env": [],
            "errorCode": None,
            "errorMessage": None,
            "inspectorUrl": inspector,
            "isInConcurrentBuildsQueue": False,
            "isInSystemBuildsQueue": False,
            "meta": body.get("meta") or {},
            "name": name,
            "ownerId": call.request.args.get("teamId") or TEAM,
            "plan": "pro",
            "project": {"id": project, "name": name},
            "projectId": project,
            "projectSettings": body.get("projectSettings") or {"framework": None},
            "public": False,
            "readyState": "QUEUED",
            "regions": ["iad1"],
            "routes": None,
            "source": "cli",
            "status": "QUEUED",
            "target": target,
            "team": {"id": TEAM, "name": "Playalter Sandbox", "slug": "playalter-sandbox"},
            "type": "LAMBDAS",
            "url": url,
            "version": 2,
        }

    def _build(self, uid: str) -> None:
        with self.box.store.transaction():
            row = self.box.store.get("deployment", uid)
            if row is None:
                return
            began = int(time.time() * 1000)
            changes = {"readyState": "BUILDING", "status": "BUILDING", "buildingAt": began}
            due = time.time() + 0.8 * self.box.settings.number("vercel.build_seconds")
            self.box.store.put("deployment", uid, row.body | changes, "deployment.ready", due)

    def _ready(self, uid: str) -> None:
        with self.box.store.transaction():
            row = self.box.store.get("deployment", uid)
            if row is None:
                return
            deployment, now = row.body, int(time.time() * 1000)
            error = deployment["sandbox"]["fail"]
            if error:
                deployment |= {
                    "readyState": "ERROR", "status": "ERROR", "errorCode": "BUILD_FAILED",
                    "errorMessage": error, "buildErrorAt": now,
                }  # fmt: skip
            else:
                deployment |= {
                    "readyState": "READY", "status": "READY", "ready": now,
                    "aliasAssigned": now, "readySubstate": "PROMOTED",
                }  # fmt: skip
            self.box.store.put("deployment", uid, deployment)
            effect = "deployments_failed" if error else "deployments_ready"
            self._note("deployments.build", effect, deployment)
            self._webhook("deployment.error" if error else "deployment.succeeded", deployment)

    def _found(self, id_or_url: str) -> Row:
        row = find_deployment(self.box, id_or_url)
        if row is None:
            raise _error(404, "not_found", f'Deployment "{id_or_url}" not found')
        return row

    def _get(self, call: Call, id: str) -> Response:
        return reply(_public(self._found(id).body))

    def _delete(self, call: Call, id: str) -> Response:
        with self.box.store.transaction():
            row = self._found(call.request.args.get("url") or id)
            self.box.store.delete("deployment", row.id)
            self._note(call.operation, "removals", row.body)
        return reply({"uid": row.id, "state": "DELETED"})

    def _list(self, call: Call) -> Response:
        arguments = call.request.args
        seen_until = time.time() - self.box.settings.number("vercel.list_lag_seconds")
        rows = self.box.store.query("deployment", "created <= ?", (seen_until,))
        found = [row.body for row in rows if _is_wanted(row.body, arguments.to_dict())]
        try:
            limit = int(arguments.get("limit", 20))
        except ValueError:
            limit = 0
        if not 1 <= limit <= 100:
            raise _error(
                400, "bad_request", "Invalid request: `limit` should be between 1 and 100."
            )
        shown = found[:limit]
        pagination = {
            "count": len(shown),
            "next": shown[-1]["createdAt"] if len(found) > limit else None,
            "prev": shown[0]["createdAt"] if shown else None,
        }
        return reply({"deployments": [_entry(each) for each in shown], "pagination": pagination})

    def _user(self, call: Call) -> Response:
        user = {
            "id": USER,
            "email": "sandbox@playalter.example",
            "name": "Playalter Sandbox",
            "username": "playalter-sandbox",
            "avatar": None,
            "defaultTeamId": TEAM,
            "version": "northstar",
            "limited": True,
        }
        return reply({"user": user})

    def _note(self, operation: str, effect: str, deployment: Json) -> None:
        details = {name: deployment[name] for name in ("name", "url", "meta")}
        self.box.store.journal("vercel", operation, effect, deployment["id"], None, details)

    def _webhook(self, kind: str, deployment: Json) -> None:
        hook = self.box.settings.text("hook_base")
        if not hook:
            return
        message_id = token62(24)
        shown = {name: deployment[name] for name in ("id", "meta", "name", "url", "inspectorUrl")}
        payload = {
            "team": {"id": deployment["team"]["id"]},
            "user": {"id": USER},
            "alias": deployment["alias"],
            "deployment": shown,
            "links": {
                "deployment": deployment["inspectorUrl"],
                "project": deployment["inspectorUrl"].rpartition("/")[0],
            },
            "target": deployment["target"],
            "project": {"id": deployment["projectId"]},
            "plan": deployment["plan"],
            "regions": deployment["regions"],
        }
        body = {
            "id": message_id,
            "type": kind,
            "createdAt": int(time.time() * 1000),
            "region": "iad1",
            "payload": payload,
        }
        self.box.outbox.post(
            "vercel", kind, f"{hook}/hooks/vercel", message_id, deployment["id"],
            json.dumps(body).encode(), "vercel",
            self.box.settings.number("vercel.webhook_delay_seconds"),
        )  # fmt: skip


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _error(status: int, code: str, message: str, **more: Any) -> Refusal:
    return Refusal(status, {"error": {"code": code, "message": message} | more})


def _public(deployment: Json) -> Json:
    return {name: value for name, value in deployment.items() if name != "sandbox"}


def _entry(deployment: Json) -> Json:
    same = (
        "name", "projectId", "url", "source", "type", "creator", "meta", "target", "createdAt",
        "buildingAt", "readyState", "inspectorUrl", "projectSettings", "aliasAssigned",
        "aliasError", "ready", "readySubstate", "errorCode", "errorMessage",
    )  # fmt: skip
    entry = {name: deployment[name] for name in same if name in deployment}
    return {
        "uid": deployment["id"],
        "created": deployment["createdAt"],
        "state": deployment["readyState"],
        "isRollbackCandidate": False,
    } | entry


def _is_wanted(deployment: Json, arguments: dict[str, str]) -> bool:
    for name, value in arguments.items():
        if name.startswith("meta-") and deployment["meta"].get(name[5:]) != value:
            return False
    state = arguments.get("state")
    until, since = arguments.get("until") or arguments.get("to"), arguments.get("since")
    since = since or arguments.get("from")
    project = arguments.get("projectId") or arguments.get("app")
    is_project = project in (None, deployment["name"], deployment["projectId"])
    return (
        is_project
        and (not state or deployment["readyState"] in state.upper().split(","))
        and arguments.get("target") in (None, deployment["target"])
        and (not until or deployment["createdAt"] < int(until))
        and (not since or deployment["createdAt"] > int(since))
    )


def _check(body: Json) -> None:
    def refuse(message: str) -> Refusal:
        return _error(400, "bad_request", f"Invalid request: {message}")

    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise refuse("missing required property `name`.")
    if len(name) > 100 or not re.fullmatch(r"[a-z0-9](?:[a-z0-9._]|-(?!--))*", name):
        message = (
            "Project names can be up to 100 characters long and must be lowercase. They can "
            "include letters, digits, and the following characters: '.', '_', '-'. However, they "
            "cannot contain the sequence '---'."
        )
        raise _error(400, "bad_request", message)
    meta = body.get("meta", {})
    if not isinstance(meta, dict):
        raise refuse("`meta` should be object.")
    wrong = [key for key, value in meta.items() if not isinstance(value, str)]
    if wrong:
        raise refuse(f"`meta.{wrong[0]}` should be string.")
    files = body.get("files", [])
    if not isinstance(files, list) or not all(isinstance(each, dict) for each in files):
        raise refuse("`files` should be array.")
    if any("file" not in each or not ("data" in each or "sha" in each) for each in files):
        raise refuse("`files` should match exactly one schema in oneOf.")
