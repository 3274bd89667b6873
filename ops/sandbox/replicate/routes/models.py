"""Models and their versions: those of the gallery, and those that the account makes."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import Box
from ops.sandbox.replicate import paging
from ops.sandbox.replicate.gallery import HARDWARE, OWNER
from ops.sandbox.replicate.problems import not_found, problem, wrong
from ops.sandbox.replicate.registry import MODEL, VERSION, Registry
from ops.sandbox.replicate.routes.deployments import NAME
from ops.sandbox.replicate.runs import Runs
from ops.sandbox.store import Json, Row
from ops.sandbox.wire import Call, Route, reply

_MOST_MODELS = 1000
_LINKS = ("github_url", "paper_url", "license_url", "cover_image_url")
_UPDATABLE = ("description", "github_url", "paper_url", "license_url")
_HIDDEN = ("readme", "weights_url")
"""What may be updated of a model, but is not shown with it."""


class Models:
    """Creates, changes, lists and deletes models and versions."""

    def __init__(self, box: Box, registry: Registry, runs: Runs) -> None:
        self.box, self.store, self.registry, self.runs = box, box.store, registry, runs
        box.timers.register("version.delete", VERSION, self._delete_now)

    def routes(self) -> Sequence[Route]:
        """Return the calls."""
        one = "/v1/models/<owner>/<name>"
        return [
            ("GET", "/v1/models", "models.list", self._list),
            ("POST", "/v1/models", "models.create", self._create),
            ("GET", one, "models.get", self._get),
            ("PATCH", one, "models.update", self._update),
            ("DELETE", one, "models.delete", self._delete),
            ("GET", f"{one}/readme", "models.readme.get", self._readme),
            ("GET", f"{one}/examples", "models.examples.list", self._examples),
            ("GET", f"{one}/versions", "models.versions.list", self._versions),
            ("GET", f"{one}/versions/<id>", "models.versions.get", self._version),
            ("DELETE", f"{one}/versions/<id>", "models.versions.delete", self._delete_version),
        ]

    def _url(self, path: str) -> str:
        return f"{self.box.urls['replicate']}/v1/models{path}"

    def _list(self, call: Call) -> Response:
        arguments, models = call.request.args, self.registry.public()
        if arguments.get("sort_by", "latest_version_created_at") == "latest_version_created_at":
            models.sort(key=_latest, reverse=True)
        if arguments.get("sort_direction") == "asc":
            models.reverse()
        return reply(paging.of_list(call.request, self._url(""), models))

    def _get(self, call: Call, owner: str, name: str) -> Response:
        return reply(self._known(owner, name))

    def _create(self, call: Call) -> Response:
        body = call.notes["body"]
        _check_links(body)
        full_name = f"{body['owner']}/{body['name']}"
        if body["owner"] != OWNER:
            raise problem(403, "Forbidden", "You can only create models that you own.")
        if not NAME.fullmatch(body["name"]):
            raise wrong("name", "Must be of lower-case letters, digits, dashes, dots, underscores")
        if body["hardware"] not in HARDWARE:
            raise wrong("hardware", "The specified hardware does not exist")
        model: Json = {
            "url": f"https://replicate.com/{full_name}",
            "owner": OWNER,
            "name": body["name"],
            "description": body.get("description"),
            "visibility": body["visibility"],
            **{link: body.get(link) for link in _LINKS},
            "is_official": False,
            "run_count": 0,
            "default_example": None,
            "latest_version": None,
            "sandbox": {"hardware": body["hardware"]},
        }
        with self.store.transaction():
            if self.registry.model(OWNER, body["name"]) is not None:
                text = "A model with that name and owner already exists"
                raise problem(409, "Conflict", text)
            if len(self.store.query(MODEL)) >= _MOST_MODELS:
                text = "There is a limit of 1,000 models per account."
                raise problem(400, "Bad request", text)
            self._put(call, full_name, model, "models")
        return reply(self._known(OWNER, body["name"]), 201)

    def _update(self, call: Call, owner: str, name: str) -> Response:
        body = call.notes["body"]
        _check_links(body)
        with self.store.transaction():
            row = self._owned(owner, name, "update")
            row.body.update({each: body[each] for each in _UPDATABLE if each in body})
            row.body["sandbox"].update({each: body[each] for each in _HIDDEN if each in body})
            self._put(call, row.id, row.body, "models.updated")
        return reply(self._known(owner, name))

    def _delete(self, call: Call, owner: str, name: str) -> Response:
        with self.store.transaction():
            row = self._deletable(owner, name, "models")
            if self.registry.versions(row.id):
                raise problem(
                    400,
                    "Bad request",
                    "You can only delete models that have no versions associated with them.",
                )
            self.store.delete(MODEL, row.id)
            self.store.journal("replicate", call.operation, "models.deleted", row.id)
        return Response(status=204)

    def _readme(self, call: Call, owner: str, name: str) -> Response:
        self._known(owner, name)
        text = self.registry.readme(f"{owner}/{name}")
        if not text:
            raise not_found("README not found")
        return Response(text, content_type="text/plain; charset=utf-8")

    def _examples(self, call: Call, owner: str, name: str) -> Response:
        self._known(owner, name)
        examples = self.registry.examples(f"{owner}/{name}")
        url = self._url(f"/{owner}/{name}/examples")
        return reply(paging.of_list(call.request, url, examples))

    def _versions(self, call: Call, owner: str, name: str) -> Response:
        self._known(owner, name)
        url = self._url(f"/{owner}/{name}/versions")
        versions = self.registry.versions(f"{owner}/{name}")
        return reply(paging.of_list(call.request, url, versions))

    def _version(self, call: Call, owner: str, name: str, id: str) -> Response:
        model = self.registry.version(id, f"{owner}/{name}")
        if model is None:
            raise not_found()
        return reply(model.version_object())

    def _delete_version(self, call: Call, owner: str, name: str, id: str) -> Response:
        with self.store.transaction():
            model = self._deletable(owner, name, "versions from models")
            row = self.store.get(VERSION, id)
            if row is None or row.body["model"] != model.id:
                raise not_found()
            where = "json_extract(body, '$.current_release.version') = ?"
            if self.store.query("deployment", where, (id,), 1):
                text = "You cannot delete a version if it has an associated deployment."
                raise problem(400, "Bad request", text)
            if self.registry.is_base(id):
                text = (
                    "You cannot delete a version if it is being used as the base model for a fine "
                    "tune/training."
                )
                raise problem(400, "Bad request", text)
            due = time.time() + self.box.settings.number("replicate.deletion_seconds")
            self.store.put(VERSION, id, row.body, "version.delete", due)
            self.store.journal("replicate", call.operation, "versions.deleted", id)
        return Response(status=202)

    def _delete_now(self, version: str) -> None:
        with self.store.transaction():
            self.runs.delete_of_version(version)
            self.store.delete(VERSION, version)

    def _known(self, owner: str, name: str) -> Json:
        model = self.registry.model(owner, name)
        if model is None:
            raise not_found()
        return model

    def _owned(self, owner: str, name: str, what: str) -> Row:
        model, row = self._known(owner, name), self.registry.stored(f"{owner}/{name}")
        if model["owner"] != OWNER or row is None:
            # The gallery's models are public, also those under the account's name.
            raise problem(403, "Forbidden", f"You can only {what} models you own.")
        return row

    def _deletable(self, owner: str, name: str, what: str) -> Row:
        row = self._owned(owner, name, "delete")
        if row.body["visibility"] != "private":
            text = f"You can only delete private {what}."
            if what != "models":
                text = "You can only delete versions from private models."
            raise problem(403, "Forbidden", text)
        return row

    def _put(self, call: Call, full_name: str, model: Json, effect: str) -> None:
        self.store.put(MODEL, full_name, model, created=self.box.now())
        details = {"input": {name: each for name, each in model.items() if name != "sandbox"}}
        self.store.journal("replicate", call.operation, effect, full_name, None, details)


def _check_links(body: Json) -> None:
    for name, value in body.items():
        if name.endswith("_url") and not re.match(r"https?://[^\s/]+\S*$", value):
            raise wrong(name, "Does not match format 'uri'", "format")


def _latest(model: Json) -> Any:
    version = model["latest_version"]
    return version["created_at"] if version else ""
