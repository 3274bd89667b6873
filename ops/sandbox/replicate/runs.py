"""Predictions of the imitated Replicate: their timers, deadlines and results, which expire.

Invariant: each change of status is one transaction that first reads the current status. So a
prediction that is cancelled while its model runs stays cancelled, and its result is discarded.
A prediction starts and ends in real time. Its deadline, and the time after which its data are
removed, follow the sandbox's time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from ops.sandbox.billing import bills
from ops.sandbox.billing.bills import Bill
from ops.sandbox.box import Box, iso, token62
from ops.sandbox.replicate import jobs
from ops.sandbox.replicate.delivery import TERMINAL, Delivery, public
from ops.sandbox.replicate.inputs import Inputs
from ops.sandbox.replicate.models import File, Model, PredictionFailed
from ops.sandbox.replicate.registry import Registry
from ops.sandbox.store import Json

_DEADLINE, _QUEUED = "prediction_deadline", "prediction.queued"
_STREAM_PARTS = 3
"""In how many parts a stream of texts is made."""
_OUTPUT_SECONDS = 0.5
"""Webhooks of the event `output` come at most so often."""
_HARDWARE = "gpu-l40s"
"""What models run on without a deployment."""


class Runs:
    """Creates, runs, cancels and expires predictions."""

    def __init__(self, box: Box, registry: Registry) -> None:
        self.box, self.store, self.registry = box, box.store, registry
        self.settled = threading.Condition()
        self.delivery, self._inputs = Delivery(box), Inputs(box)
        timers = box.timers
        timers.register("prediction.start", "prediction", self._start)
        timers.register("prediction.finish", "prediction", self._finish, is_heavy=True)
        timers.register("prediction.released", "prediction", self._finish, is_heavy=True)
        timers.register("prediction.expire", "prediction", self._expire, is_virtual=True)
        timers.register("prediction.deadline", _DEADLINE, self._end_at_deadline, is_virtual=True)
        timers.hold("prediction.finish", box.settings.flag("replicate.hold"))

    def create(
        self,
        operation: str,
        model: Model,
        body: Json,
        cancel_after: float | None = None,
        deployment: str | None = None,
    ) -> Json:
        """Store a prediction, which starts after `replicate.start_seconds`, and return it.

        It is ended `cancel_after` seconds after its creation. `deployment` is the owner and the
        name of the deployment that runs it.
        """
        version = "hidden" if model.is_official else model.version
        prediction = jobs.new(
            *(self.box, "predictions", operation, model.full_name, version, body),
            version=model.version,
            deployment=deployment,
            hardware=self._hardware(deployment),
        )
        prediction |= {"output": None, "data_removed": False, "metrics": {}}
        prediction_id, now = prediction["id"], prediction["sandbox"]["created"]
        if deployment is not None:
            prediction["deployment"] = deployment.partition("/")[2]
        if model.streams:
            stream = token62(43)
            prediction["urls"]["stream"] = f"{self.box.urls['replicate']}/stream/{stream}"
            prediction["sandbox"]["stream"] = stream
        due = time.time() + self.box.settings.number("replicate.start_seconds")
        with self.store.transaction():
            if cancel_after is not None:
                prediction["deadline"] = iso(now + cancel_after)
                ends = time.time() + cancel_after
                self.store.put(_DEADLINE, prediction_id, {}, "prediction.deadline", ends)
            self.store.put("prediction", prediction_id, prediction, "prediction.start", due, now)
            self.registry.count_run(model.full_name)
            self._note(operation, "predictions", prediction)
        return public(prediction)

    def cancel(self, operation: str, prediction_id: str) -> Json | None:
        """Cancel a prediction unless it has ended; return it, or None for an unknown id."""
        with self.store.transaction():
            row = self.store.get("prediction", prediction_id)
            if row is None:
                return None
            prediction = row.body
            if prediction["status"] not in TERMINAL:
                self._settle(prediction, "canceled")
                self._note(operation, "predictions_canceled", prediction)
        self._tell()
        return public(prediction)

    def wait(self, prediction_id: str, seconds: float) -> Json | None:
        """Wait up to the given seconds for the prediction to end, and return it; None if it was
        deleted meanwhile."""
        return self.watch(prediction_id, seconds, lambda seen: seen["status"] in TERMINAL)

    def watch(
        self, prediction_id: str, seconds: float, is_wanted: Callable[[Json], bool]
    ) -> Json | None:
        """Wait up to the given seconds until the prediction is as wanted, and return it."""
        deadline = time.monotonic() + seconds
        with self.settled:
            while True:
                row = self.store.get("prediction", prediction_id)
                if row is None:
                    return None
                left = deadline - time.monotonic()
                if is_wanted(row.body) or left <= 0:
                    return public(row.body)
                self.settled.wait(min(left, 1.0))

    def release(self, count: int | None) -> int:
        """Run held predictions, the oldest first, up to `count`; return their number."""
        rows = self.store.execute(
            "UPDATE objects SET queue = 'prediction.released' WHERE seq IN (SELECT seq FROM "
            "objects WHERE queue = 'prediction.finish' ORDER BY seq LIMIT ?) RETURNING seq",
            (-1 if count is None else count,),
        )
        return len(rows)

    def admit(self, deployment: str) -> None:
        """Start the oldest predictions that wait for an instance of a deployment, if any is free;
        call it in a transaction."""
        free = self._free_instances(deployment)
        where = "queue = ? AND json_extract(body, '$.sandbox.deployment') = ?"
        waiting = self.store.query(
            "prediction", where, (_QUEUED, deployment), max(0, free), order="ASC"
        )
        for row in waiting:
            self.store.put("prediction", row.id, row.body, "prediction.start", time.time())

    def unfinished(self, deployment: str) -> int:
        """Return how many predictions of a deployment have not ended."""
        where = (
            "json_extract(body, '$.sandbox.deployment') = ?"
            " AND json_extract(body, '$.status') IN ('starting', 'processing')"
        )
        return len(self.store.query("prediction", where, (deployment,)))

    def last_used(self, deployment: str) -> float | None:
        """Return when the last prediction of a deployment was created or ended, in Unix seconds of
        the sandbox's time."""
        where = "json_extract(body, '$.sandbox.deployment') = ?"
        rows = self.store.query("prediction", where, (deployment,))
        notes = [row.body["sandbox"] for row in rows]
        return max(
            (each.get("ended", each["created"]) + each["ahead"] for each in notes), default=None
        )

    def delete_of_version(self, version: str) -> None:
        """Delete all predictions of a version with their files; call it in a transaction."""
        where = "json_extract(body, '$.sandbox.version') = ?"
        for row in self.store.query("prediction", where, (version,)):
            self.delivery.remove(row.body)
            self.store.delete("prediction", row.id)
            self.store.delete(_DEADLINE, row.id)

    def _free_instances(self, deployment: str) -> int:
        row = self.store.get("deployment", deployment)
        if row is None:
            return 0
        most = row.body["current_release"]["configuration"]["max_instances"]
        where = (
            "queue IN ('prediction.finish', 'prediction.released')"
            " AND json_extract(body, '$.sandbox.deployment') = ?"
        )
        return int(most) - len(self.store.query("prediction", where, (deployment,)))

    def _start(self, prediction_id: str) -> None:
        with self.store.transaction():
            row = self.store.get("prediction", prediction_id)
            if row is None or row.body["status"] != "starting":
                return
            prediction = row.body
            deployment = prediction["sandbox"]["deployment"]
            if deployment and self._free_instances(deployment) <= 0:
                self.store.put("prediction", prediction_id, prediction, _QUEUED)
                return
            jobs.start(self.box, prediction)
            self.store.put(
                "prediction", prediction_id, prediction, "prediction.finish", self._next()
            )
            self.delivery.tell("start", prediction)
        self._tell()

    def _next(self, parts: int = 1) -> float:
        return time.time() + self.box.settings.number("replicate.duration_seconds") / parts

    def _finish(self, prediction_id: str) -> None:
        row = self.store.get("prediction", prediction_id)
        if row is None or row.body["status"] != "processing":
            return
        output, error = self._run(row.body)
        with self.store.transaction():
            row = self.store.get("prediction", prediction_id)
            if row is None or row.body["status"] != "processing":
                return
            prediction = row.body
            if error or not self._stream(prediction, output, row.queue):
                self._end(prediction, output, error)
        self._tell()

    def _end(self, prediction: Json, output: Any, error: str | None) -> None:
        if isinstance(output, File) and not output.is_inline:
            shape = self.box.settings.text("replicate.output_shape")
            output = self.delivery.shaped(prediction, output, shape)
        prediction |= {"output": self.delivery.shown(prediction, output), "error": error}
        prediction["logs"] = "Running prediction\n" + (f"{error}\n" if error else "Done\n")
        prediction["logs"] += "." * int(self.box.settings.number("replicate.log_bytes"))
        status = "failed" if error else "succeeded"
        self._settle(prediction, prediction["sandbox"]["fail_as"] or status)
        self._note("predictions.run", f"predictions_{status}", prediction)

    def _stream(self, prediction: Json, texts: Any, queue: str | None) -> bool:
        """Show the next part of a stream; return False if it is the last, or none streams."""
        if "stream" not in prediction["sandbox"]:
            return False
        have = len(prediction["output"] or [])
        until = have + math.ceil(len(texts) / _STREAM_PARTS)
        if until >= len(texts):
            return False
        prediction["output"] = texts[:until]
        now, notes = jobs.time_of(self.box, prediction), prediction["sandbox"]
        if now - notes.get("told", 0.0) >= _OUTPUT_SECONDS:
            notes["told"] = now
            self.delivery.tell("output", prediction)
        self.store.put("prediction", prediction["id"], prediction, queue, self._next(_STREAM_PARTS))
        return True

    def _run(self, prediction: Json) -> tuple[Any, str | None]:
        if prediction["sandbox"]["fail"]:
            return None, prediction["sandbox"]["fail"]
        model = self.registry.version(prediction["sandbox"]["version"])
        if model is None:
            return None, "The version was deleted"
        try:
            return model.run(prediction["input"], self._inputs.read), None
        except PredictionFailed as error:
            return None, str(error)

    def _hardware(self, deployment: str | None) -> str:
        """What predictions of a deployment run on, and those of models without one."""
        row = self.store.get("deployment", deployment) if deployment else None
        if row is None:
            return _HARDWARE
        return str(row.body["current_release"]["configuration"]["hardware"])

    def _bill(self, prediction: Json) -> None:
        """Bill the pictures of a model that is sold by them, or else the time of the hardware. A
        prediction that has not begun in time is free."""
        if prediction["status"] == "aborted":
            return
        notes, seconds = prediction["sandbox"], prediction["metrics"].get("predict_time", 0.0)
        item, used = notes.get("hardware", _HARDWARE), {"seconds": seconds}
        if not notes["deployment"] and _is_sold_by_picture(prediction["model"]):
            item, used = prediction["model"], {"pictures": len(notes.get("blobs", []))}
        if any(used.values()):
            run = ("replicate", "predictions.run", prediction["id"])
            bills.write(self.store, Bill(*run, item, used))

    def _settle(self, prediction: Json, status: str) -> None:
        jobs.end(self.box, prediction, status)
        self._bill(prediction)
        expiry = time.time() + self.box.settings.number("replicate.output_expiry_seconds")
        # What was made on the website is kept.
        queue = "prediction.expire" if prediction["source"] == "api" else None
        self.store.put("prediction", prediction["id"], prediction, queue, expiry)
        self.store.delete(_DEADLINE, prediction["id"])
        if deployment := prediction["sandbox"]["deployment"]:
            self.admit(deployment)
        if prediction["output"] is not None:
            self.delivery.tell("output", prediction)
        self.delivery.tell("logs", prediction)
        self.delivery.tell("completed", prediction)

    def _end_at_deadline(self, prediction_id: str) -> None:
        with self.store.transaction():
            self.store.delete(_DEADLINE, prediction_id)
            row = self.store.get("prediction", prediction_id)
            if row is None or row.body["status"] in TERMINAL:
                return
            status = "aborted" if row.body["status"] == "starting" else "canceled"
            self._settle(row.body, status)
            self._note("predictions.deadline", f"predictions_{status}", row.body)
        self._tell()

    def _tell(self) -> None:
        with self.settled:
            self.settled.notify_all()

    def _expire(self, prediction_id: str) -> None:
        with self.store.transaction():
            row = self.store.get("prediction", prediction_id)
            if row is None:
                return
            prediction = row.body
            prediction |= {"data_removed": True, "output": None, "input": {}, "logs": ""}
            self.delivery.remove(prediction)
            self.store.put("prediction", prediction_id, prediction)

    def _note(self, operation: str, effect: str, prediction: Json) -> None:
        shown = {name: str(value)[:300] for name, value in prediction["input"].items()}
        details = {"input": shown, "model": prediction["model"], "error": prediction["error"]}
        self.store.journal("replicate", operation, effect, prediction["id"], None, details)


def _is_sold_by_picture(model: str) -> bool:
    return "pictures" in bills.PRICES["replicate"]["micro_usd"].get(model, {})
