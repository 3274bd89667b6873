"""Deployments: a version of a model on hardware of its own, with so many instances.

Each change of a deployment is a new release. At most `max_instances` predictions of a deployment
run at the same time; the others wait, and are `starting`.
https://replicate.com/docs/topics/deployments
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import Box, iso
from ops.sandbox.replicate import paging
from ops.sandbox.replicate.described import moment
from ops.sandbox.replicate.gallery import HARDWARE, OWNER
from ops.sandbox.replicate.problems import not_found, problem, wrong
from ops.sandbox.replicate.registry import Registry
from ops.sandbox.replicate.routes.account import creator
from ops.sandbox.replicate.runs import Runs
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
_IN_USE = (
    "You can only delete deployments that have been offline and unused for at least 15 minutes."
)


class Deployments:
    """Creates, changes, lists and deletes deployments."""

    def __init__(self, box: Box, registry: Registry, runs: Runs) -> None:
        self.box, self.registry, self.runs = box, registry, runs

    def routes(self) -> Sequence[Route]:
        """Return the calls."""
        one = "/v1/deployments/<owner>/<name>"
        return [
            ("GET", "/v1/deployments", "deployments.list", self._list),
            ("POST", "/v1/deployments", "deployments.create", self._create),
            ("GET", one, "deployments.get", self._get),
            ("PATCH", one, "deployments.update", self._update),
            ("DELETE", one, "deployments.delete", self._delete),
        ]

    def _list(self, call: Call) -> Response:
        url = f"{self.box.urls['replicate']}/v1/deployments"
        store = self.box.store
        return reply(paging.of_rows(call.request, url, store, "deployment", lambda row: row.body))

    def _get(self, call: Call, owner: str, name: str) -> Response:
        return reply(self._known(owner, name))

    def _create(self, call: Call) -> Response:
        body = call.notes["body"]
        if not NAME.fullmatch(body["name"]):
            raise wrong("name", "Must be of lower-case letters, digits, dashes, dots, underscores")
        full_name = f"{OWNER}/{body['name']}"
        version = self.registry.version(body["version"])
        if version is None or version.full_name != body["model"]:
            raise wrong("version", "The specified version does not exist")
        release = self._release(1, body["model"], body["version"], body)
        deployment = {"owner": OWNER, "name": body["name"], "current_release": release}
        with self.box.store.transaction():
            if self.box.store.get("deployment", full_name):
                text = "A deployment with that name and owner already exists"
                raise problem(409, "Conflict", text)
            self._put(call, full_name, deployment, "model_deployments")
        return reply(deployment)

    def _update(self, call: Call, owner: str, name: str) -> Response:
        body, full_name = call.notes["body"], f"{owner}/{name}"
        with self.box.store.transaction():
            deployment = self._known(owner, name)
            release = deployment["current_release"]
            version = body.get("version", release["version"])
            if self.registry.version(version, release["model"]) is None:
                raise wrong("version", "The specified version does not exist")
            if body:
                given = release["configuration"] | body
                number = release["number"] + 1
                release = self._release(number, release["model"], version, given)
                deployment |= {"current_release": release}
                self._put(call, full_name, deployment, "model_deployments.updated")
                self.runs.admit(full_name)
        return reply(deployment)

    def _delete(self, call: Call, owner: str, name: str) -> Response:
        full_name, store = f"{owner}/{name}", self.box.store
        with store.transaction():
            self._known(owner, name)
            row = store.get("deployment", full_name)
            assert row is not None
            is_online = row.body["current_release"]["configuration"]["min_instances"] > 0
            changed = moment(row.body["current_release"]["created_at"])
            quiet = self.box.now() - max(changed, self.runs.last_used(full_name) or 0.0)
            if (
                is_online
                or self.runs.unfinished(full_name)
                or quiet < self.box.settings.number("replicate.unused_seconds")
            ):
                raise problem(400, "Bad request", _IN_USE)
            store.delete("deployment", full_name)
            self._note(call, "model_deployments.deleted", full_name, row.body)
        return Response(status=204)

    def _known(self, owner: str, name: str) -> Json:
        row = self.box.store.get("deployment", f"{owner}/{name}")
        if row is None:
            raise not_found()
        return row.body

    def _release(self, number: int, model: str, version: str, given: Json) -> Json:
        least, most = int(given["min_instances"]), int(given["max_instances"])
        if given["hardware"] not in HARDWARE:
            raise wrong("hardware", "The specified hardware does not exist")
        if least > most:
            raise wrong("min_instances", "Must be less than or equal to max_instances")
        return {
            "number": number,
            "model": model,
            "version": version,
            "created_at": iso(self.box.now()),
            "created_by": creator(),
            "configuration": {
                "hardware": given["hardware"],
                "min_instances": least,
                "max_instances": most,
            },
        }

    def _put(self, call: Call, full_name: str, deployment: Json, effect: str) -> None:
        self.box.store.put("deployment", full_name, deployment, created=self.box.now())
        self._note(call, effect, full_name, deployment)

    def _note(self, call: Call, effect: str, full_name: str, deployment: Json) -> None:
        details = {"input": deployment["current_release"], "name": full_name}
        self.box.store.journal("replicate", call.operation, effect, full_name, None, details)
