"""A small service for jobs, which steps call by an address of their own.

A job is done after `http.job_seconds`. A repeated `Idempotency-Key` gives the first answer again. A
job may carry a `reference`, by which the list finds it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import iso, token36
from ops.sandbox.faults import Fault
from ops.sandbox.store import Json, Row
from ops.sandbox.wire import Call, Refusal, Route, Vendor, bearer, json_object, reply

MOST_LISTED = 100


class Jobs(Vendor):
    """The WSGI application on the port of the jobs."""

    name = "http"

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("POST", "/jobs", "jobs.create", self._create),
            ("GET", "/jobs", "jobs.list", self._list),
            ("GET", "/jobs/<id>", "jobs.get", self._get),
            ("DELETE", "/jobs/<id>", "jobs.cancel", self._cancel),
        ]

    def authenticate(self, call: Call) -> None:
        """Raise 401 if the token is missing or wrong."""
        if bearer(call.request) != self.box.credentials.HTTP_JOBS_TOKEN:
            raise Refusal(401, {"error": "a valid token is needed"})

    def failure(self, status: int, fault: Fault) -> Response:
        """Return an error of the service."""
        return reply({"error": fault.parameters.get("message", "Sandbox fault")}, status)

    def _create(self, call: Call) -> Response:
        body = json_object(call.request)
        if body is None:
            raise Refusal(400, {"error": "the body is no JSON object"})
        key = call.request.headers.get("Idempotency-Key")
        with self.box.store.transaction():
            known = self.box.store.get("job_key", key) if key else None
            if known is not None:
                return reply(self._job(known.body["job"]), 201)
            job_id, now = f"job_{token36(20)}", time.time()
            job = {
                "id": job_id,
                "reference": body.get("reference"),
                "input": body.get("input"),
                "note": self.box.settings.text("http.note"),
                "created_at": iso(now),
                "due": now + self.box.settings.number("http.job_seconds"),
                "cancelled": False,
            }
            self.box.store.put("job", job_id, job)
            if key:
                self.box.store.put("job_key", key, {"job": job_id})
            details = {"reference": job["reference"]}
            self.box.store.journal("http", call.operation, "jobs", job_id, key, details)
        return reply(_shown(job), 201, {"Location": f"/jobs/{job_id}"})

    def _list(self, call: Call) -> Response:
        reference = call.request.args.get("reference")
        rows: list[Row] = self.box.store.query("job", "1", [])
        found = [
            _shown(row.body)
            for row in rows
            if reference is None or row.body["reference"] == reference
        ]
        return reply({"jobs": found[:MOST_LISTED]})

    def _get(self, call: Call, id: str) -> Response:
        return reply(self._job(id))

    def _cancel(self, call: Call, id: str) -> Response:
        with self.box.store.transaction():
            row = self.box.store.get("job", id)
            if row is None:
                raise Refusal(404, {"error": f"there is no job {id}"})
            if not row.body["cancelled"]:
                self.box.store.put("job", id, row.body | {"cancelled": True})
                details = {"reference": row.body["reference"]}
                self.box.store.journal("http", call.operation, "jobs_cancelled", id, None, details)
        return reply(self._job(id))

    def _job(self, job_id: str) -> Json:
        row = self.box.store.get("job", job_id)
        if row is None:
            raise Refusal(404, {"error": f"there is no job {job_id}"})
        return _shown(row.body)


def _shown(job: Json) -> Json:
    is_done = time.time() >= job["due"]
    state = "cancelled" if job["cancelled"] else "done" if is_done else "running"
    known = ("id", "reference", "input", "created_at", *(["note"] if job.get("note") else []))
    result = {"words": len(str(job["input"]).split())} if state == "done" else None
    return {**{name: job[name] for name in known}, "state": state, "result": result}
