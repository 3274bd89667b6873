"""Trainings: each makes a version of a model that the account owns.

A training starts in real time, and ends `replicate.training_seconds` later in the sandbox's time.
https://replicate.com/docs/topics/fine-tuning
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.billing import bills
from ops.sandbox.billing.bills import Bill
from ops.sandbox.box import Box, iso
from ops.sandbox.replicate import jobs, paging
from ops.sandbox.replicate.delivery import TERMINAL, Delivery, public
from ops.sandbox.replicate.models import File
from ops.sandbox.replicate.problems import invalid, not_found, problem
from ops.sandbox.replicate.registry import Registry
from ops.sandbox.replicate.routes.predictions import hook_faults
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Refusal, Route, reply

_HARDWARE = "gpu-h100"
"""What trainings run on."""


class Trainings:
    """Creates, lists, shows and cancels trainings."""

    def __init__(self, box: Box, registry: Registry) -> None:
        self.box, self.store, self.registry = box, box.store, registry
        self.delivery = Delivery(box)
        timers = box.timers
        timers.register("training.start", "training", self._start)
        timers.register("training.finish", "training", self._finish, is_virtual=True)

    def routes(self) -> Sequence[Route]:
        """Return the calls."""
        version = "/v1/models/<owner>/<name>/versions/<id>"
        return [
            ("POST", f"{version}/trainings", "trainings.create", self._create),
            ("GET", "/v1/trainings", "trainings.list", self._list),
            ("GET", "/v1/trainings/<id>", "trainings.get", self._get),
            ("POST", "/v1/trainings/<id>/cancel", "trainings.cancel", self._cancel),
        ]

    def _create(self, call: Call, owner: str, name: str, id: str) -> Response:
        body, model = call.notes["body"], self.registry.version(id, f"{owner}/{name}")
        if model is None:
            raise not_found()
        if model.training is None:
            raise problem(422, "Invalid training", "The specified version cannot be trained")
        fields = model.training.faults(body["input"]) + hook_faults(body)
        if fields:
            raise invalid(fields)
        # https://github.com/replicate/flux-fine-tuner/issues/72
        if self.registry.stored(body["destination"]) is None:
            detail = "The specified training destination does not exist"
            raise Refusal(404, {"detail": detail, "status": 404})
        training = jobs.new(
            *(self.box, "trainings", call.operation, model.full_name, id, body),
            destination=body["destination"],
        )
        due = time.time() + self.box.settings.number("replicate.start_seconds")
        with self.store.transaction():
            created = training["sandbox"]["created"]
            self.store.put("training", training["id"], training, "training.start", due, created)
            self._note(call.operation, "trainings", training)
        return reply(public(training), 201)

    def _list(self, call: Call) -> Response:
        url = f"{self.box.urls['replicate']}/v1/trainings"
        seen_until = time.time() - self.box.settings.number("replicate.list_lag_seconds")
        page = paging.of_rows(
            call.request,
            url,
            self.store,
            "training",
            lambda row: public(row.body),
            "created <= ?",
            (seen_until,),
        )
        return reply(page)

    def _get(self, call: Call, id: str) -> Response:
        row = self.store.get("training", id)
        if row is None:
            raise not_found()
        return reply(public(row.body))

    def _cancel(self, call: Call, id: str) -> Response:
        with self.store.transaction():
            row = self.store.get("training", id)
            if row is None:
                raise not_found()
            if row.body["status"] not in TERMINAL:
                self._settle(row.body, "canceled")
                self._note(call.operation, "trainings_canceled", row.body)
        return reply(public(row.body))

    def _start(self, training_id: str) -> None:
        with self.store.transaction():
            row = self.store.get("training", training_id)
            if row is None or row.body["status"] != "starting":
                return
            training = row.body
            jobs.start(self.box, training)
            due = time.time() + self.box.settings.number("replicate.training_seconds")
            self.store.put("training", training_id, training, "training.finish", due)
            self.delivery.tell("start", training)

    def _finish(self, training_id: str) -> None:
        with self.store.transaction():
            row = self.store.get("training", training_id)
            if row is None or row.body["status"] != "processing":
                return
            training, notes = row.body, row.body["sandbox"]
            error = notes["fail"]
            if error is None and self.registry.stored(notes["destination"]) is None:
                # https://github.com/replicate/replicate-python/issues/308
                error = "Failed to create trained image after successful training run."
            training |= {"error": error, "logs": "Training\n" + (f"{error}\n" if error else "")}
            if error:
                self._settle(training, notes["fail_as"] or "failed")
                self._note("trainings.run", "trainings_failed", training)
                return
            self._make_version(training)
            self._settle(training, "succeeded")
            self._note("trainings.run", "trainings_succeeded", training)

    def _make_version(self, training: Json) -> None:
        destination = training["sandbox"]["destination"]
        version = hashlib.sha256(f"{destination} {training['id']}".encode()).hexdigest()
        made = iso(self.box.now())
        self.registry.add_version(version, destination, training["version"], made)
        weights = self.delivery.address(training, File("trained_model.tar", _weights(training)))
        training["output"] = {"version": f"{destination}:{version}", "weights": weights}

    def _settle(self, training: Json, status: str) -> None:
        jobs.end(self.box, training, status)
        seconds = training["metrics"].get("predict_time", 0.0)
        if seconds and status != "aborted":
            run = ("replicate", "trainings.run", training["id"])
            bills.write(self.store, Bill(*run, _HARDWARE, {"seconds": seconds}))
        self.store.put("training", training["id"], training)
        if training.get("output") is not None:
            self.delivery.tell("output", training)
        self.delivery.tell("logs", training)
        self.delivery.tell("completed", training)

    def _note(self, operation: str, effect: str, training: Json) -> None:
        shown = {name: str(value)[:300] for name, value in training["input"].items()}
        notes = {"destination": training["sandbox"]["destination"], "error": training["error"]}
        details = {"input": shown, "model": training["model"], **notes}
        self.store.journal("replicate", operation, effect, training["id"], None, details)


def _weights(training: Json) -> bytes:
    """A small archive in the place of the weights."""
    data, made = json.dumps(training["input"]).encode(), io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("training.json")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()
