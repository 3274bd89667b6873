"""The endpoints for batches. https://platform.openai.com/docs/api-reference/batch"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from werkzeug.wrappers import Response

from ops.sandbox import clock
from ops.sandbox.box import token36
from ops.sandbox.openai import wire
from ops.sandbox.openai.batches import answers
from ops.sandbox.openai.batches.plan import Plan, planned
from ops.sandbox.openai.batches.runs import KIND, Runs, public
from ops.sandbox.openai.batches.work import Prepare, Work
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.files.operations import seconds_of
from ops.sandbox.openai.files.shelf import Shelf
from ops.sandbox.openai.hooks.events import Hooks
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

_MOMENTS = (
    "in_progress",
    "finalizing",
    "completed",
    "failed",
    "expired",
    "cancelling",
    "cancelled",
)


class Batches:
    """The endpoints for batches."""

    def __init__(
        self, desk: Desk, shelf: Shelf, hooks: Hooks, endpoints: Mapping[str, tuple[str, Prepare]]
    ) -> None:
        self._desk, self._shelf, self._served = desk, shelf, tuple(endpoints)
        self._runs = Runs(desk, shelf, hooks, Work(desk, endpoints))

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("POST", "/v1/batches", "batches.create", self._create),
            ("GET", "/v1/batches", "batches.list", self._list),
            ("GET", "/v1/batches/<id>", "batches.retrieve", self._retrieve),
            ("POST", "/v1/batches/<id>/cancel", "batches.cancel", self._cancel),
        ]

    def _create(self, call: Call) -> Response:
        given = self._desk.given(call)
        if given["endpoint"] not in self._served:
            raise wire.unsupported_value("endpoint", given["endpoint"], self._served)
        metadata = wire.metadata_of(given) or None
        output_seconds = seconds_of(given, "output_expires_after")
        file = self._shelf.get(given["input_file_id"], "input_file_id")
        if file["purpose"] != "batch":
            words = (
                "Invalid purpose of the input file: expected 'batch', but got "
                f"'{file['purpose']}' instead."
            )
            raise wire.error(400, words, "input_file_id", "invalid_value")
        now = clock.now(self._desk.store)
        plan = planned(self._desk.settings, now)
        notes = {"plan": plan, "output_seconds": output_seconds}
        batch: Json = {
            "id": f"batch_{token36(32)}",
            "object": "batch",
            "endpoint": given["endpoint"],
            "model": None,
            "errors": None,
            "input_file_id": file["id"],
            "completion_window": given["completion_window"],
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(now),
            "expires_at": int(Plan(**plan).expires),
            **{f"{name}_at": None for name in _MOMENTS},
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "usage": answers.no_usage(),
            "metadata": metadata,
            "sandbox": notes,
        }
        with self._desk.store.transaction():
            self._runs.put(batch, Plan(**plan).started)
            details = {"endpoint": batch["endpoint"], "metadata": metadata or {}}
            self._desk.note(call, "batches", batch["id"], details)
        return reply(public(batch))

    def _list(self, call: Call) -> Response:
        asked = self._desk.asked(call)
        found = [public(row.body) for row in self._desk.store.query(KIND, order="ASC")]
        return reply(wire.page(found, asked))

    def _retrieve(self, call: Call, id: str) -> Response:
        return reply(public(self._get(id)))

    def _cancel(self, call: Call, id: str) -> Response:
        with self._desk.store.transaction():
            batch = self._get(id)
            status = batch["status"]
            if status in ("completed", "failed", "expired"):
                raise wire.error(400, f"Cannot cancel a batch with status '{status}'.")
            if status not in ("cancelling", "cancelled"):
                now = clock.now(self._desk.store)
                batch |= {"status": "cancelling", "cancelling_at": int(now)}
                batch["sandbox"]["cancelling"] = now
                self._runs.put(batch, now + Plan.of(batch).cancelling)
                details = {"endpoint": batch["endpoint"], "metadata": batch["metadata"] or {}}
                self._desk.note(call, "batches_cancelling", id, details)
        return reply(public(batch))

    def _get(self, batch_id: str) -> Json:
        row = self._desk.store.get(KIND, batch_id)
        if row is None:
            raise wire.error(404, f"No batch found with id '{batch_id}'.")
        return row.body
