"""Predictions of the imitated Replicate: their timers, webhooks and results, which expire.

Invariant: each change of status is one transaction that first reads the current status. So a
prediction that is cancelled while its model runs stays cancelled, and its result is discarded.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import threading
import time
from typing import Any
from urllib.parse import unquote_to_bytes

import urllib3

from ops.sandbox.box import Box, iso, token36, token62
from ops.sandbox.replicate.models import Model, PredictionFailed, find_version
from ops.sandbox.store import Json

TERMINAL = ("succeeded", "failed", "canceled", "aborted")
DEFAULT_FILTER = ("start", "output", "completed")
FETCH_SECONDS = 20.0


class Runs:
    """Creates, runs, cancels and expires predictions."""

    def __init__(self, box: Box) -> None:
        self.box, self.store = box, box.store
        self.settled = threading.Condition()
        self._http = urllib3.PoolManager(num_pools=16, maxsize=4)
        timers = box.timers
        timers.register("prediction.start", "prediction", self._start)
        timers.register("prediction.finish", "prediction", self._finish, is_heavy=True)
        timers.register("prediction.released", "prediction", self._finish, is_heavy=True)
        timers.register("prediction.expire", "prediction", self._expire)
        timers.register("file.expire", "file", self.delete_file)
        timers.hold("prediction.finish", box.settings.flag("replicate.hold"))

    def create(self, operation: str, model: Model, body: Json) -> Json:
        """Store a prediction, which starts after `replicate.start_seconds`, and return it."""
        fault = self.box.faults.take("replicate", operation, ("fail",), json.dumps(body))
        prediction_id, now = token36(26), time.time()
        base = f"{self.box.urls['replicate']}/v1/predictions/{prediction_id}"
        prediction: Json = {
            "id": prediction_id,
            "model": model.full_name,
            "version": model.version,
            "input": body["input"],
            "logs": "",
            "output": None,
            "data_removed": False,
            "error": None,
            "source": "api",
            "status": "starting",
            "created_at": iso(now),
            "started_at": None,
            "completed_at": None,
            "metrics": {},
            "urls": {
                "cancel": f"{base}/cancel",
                "get": base,
                "web": f"https://replicate.com/p/{prediction_id}",
            },
            "sandbox": {
                "webhook": body.get("webhook"),
                "filter": body.get("webhook_events_filter") or list(DEFAULT_FILTER),
                "fail": (fault.parameters.get("error") or "Sandbox fault") if fault else None,
                "fail_as": fault.parameters.get("as", "failed") if fault else None,
                "created": now,
            },
        }
        due = now + self.box.settings.number("replicate.start_seconds")
        with self.store.transaction():
            self.store.put("prediction", prediction_id, prediction, "prediction.start", due)
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

    def wait(self, prediction_id: str, seconds: float) -> Json:
        """Wait up to the given seconds for the prediction to end, and return it."""
        deadline = time.monotonic() + seconds
        with self.settled:
            while True:
                row = self.store.get("prediction", prediction_id)
                assert row is not None, "only a reset deletes predictions"
                left = deadline - time.monotonic()
                if row.body["status"] in TERMINAL or left <= 0:
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

    def _start(self, prediction_id: str) -> None:
        with self.store.transaction():
            row = self.store.get("prediction", prediction_id)
            if row is None or row.body["status"] != "starting":
                return
            prediction, now = row.body, time.time()
            prediction |= {"status": "processing", "started_at": iso(now)}
            prediction["sandbox"]["started"] = now
            due = now + self.box.settings.number("replicate.duration_seconds")
            self.store.put("prediction", prediction_id, prediction, "prediction.finish", due)
            self._webhook("start", prediction)

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
            if isinstance(output, tuple):
                name, data = output
                output = self._shaped(self._deliver(prediction, name, data), name, data)
            prediction |= {"output": output, "error": error}
            prediction["logs"] = "Running prediction\n" + (f"{error}\n" if error else "Done\n")
            prediction["logs"] += "." * int(self.box.settings.number("replicate.log_bytes"))
            status = "failed" if error else "succeeded"
            self._settle(prediction, prediction["sandbox"]["fail_as"] or status)
            self._note("predictions.run", f"predictions_{status}", prediction)
        self._tell()

    def _shaped(self, url: str, name: str, data: bytes) -> Any:
        """The output in one of the shapes that models give (`replicate.output_shape`)."""
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        shapes: Json = {
            "url": url,
            "list": [url],
            "dict": {"image": url, "seed": 7},
            "data": f"data:{kind};base64,{base64.b64encode(data).decode()}",
            "empty": [],
        }
        return shapes[self.box.settings.text("replicate.output_shape")]

    def _run(self, prediction: Json) -> tuple[Any, str | None]:
        if prediction["sandbox"]["fail"]:
            return None, prediction["sandbox"]["fail"]
        model = find_version(prediction["version"])
        assert model is not None, "the version was checked when the prediction was created"
        try:
            return model.run(prediction["input"], self._read), None
        except PredictionFailed as error:
            return None, str(error)

    def _settle(self, prediction: Json, status: str) -> None:
        now, notes = time.time(), prediction["sandbox"]
        started = notes.get("started", now)
        metrics = {
            "predict_time": round(now - started, 6),
            "total_time": round(now - notes["created"], 6),
        }
        prediction |= {"status": status, "completed_at": iso(now), "metrics": metrics}
        expiry = now + self.box.settings.number("replicate.output_expiry_seconds")
        self.store.put("prediction", prediction["id"], prediction, "prediction.expire", expiry)
        if prediction["output"] is not None:
            self._webhook("output", prediction)
        self._webhook("logs", prediction)
        self._webhook("completed", prediction)

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
            blob = prediction["sandbox"].pop("blob", None)
            self.store.put("prediction", prediction_id, prediction)
            if blob:
                self.store.delete("delivery", blob)
                self.store.delete_blob(blob)

    def _deliver(self, prediction: Json, name: str, data: bytes) -> str:
        blob = token62(43)
        self.store.write_blob(blob, data)
        self.store.put("delivery", blob, {"name": name, "prediction": prediction["id"]})
        prediction["sandbox"]["blob"] = blob
        return f"{self.box.urls['replicate']}/pbxt/{blob}/{name}"

    def delete_file(self, file_id: str) -> None:
        """Delete an uploaded file."""
        with self.store.transaction():
            self.store.delete("file", file_id)
            self.store.delete_blob(f"file-{file_id}")

    def _read(self, name: str, address: str) -> bytes:
        if address.startswith("data:"):
            return _data_uri(name, address)
        own = f"{self.box.urls['replicate']}/v1/files/"
        if address.startswith(own):
            file_id = address.removeprefix(own).partition("/")[0].partition("?")[0]
            data = self.store.read_blob(f"file-{file_id}") if file_id else None
            if data is None:
                raise PredictionFailed(f"{name}: 404 Client Error: Not Found for url: {address}")
            return data
        return self._download(name, address)

    def _download(self, name: str, address: str) -> bytes:
        if not address.startswith(("http://", "https://")):
            raise PredictionFailed(f"{name} is not a valid URL: {address[:200]}")
        try:
            answer = self._http.request(
                "GET", address, timeout=FETCH_SECONDS, retries=urllib3.Retry(2, backoff_factor=0.2)
            )
        except urllib3.exceptions.HTTPError as error:
            message = f"{name}: could not download {address}: {type(error).__name__}"
            raise PredictionFailed(message) from error
        if answer.status != 200:
            message = f"{name}: {answer.status} Client Error for url: {address}"
            raise PredictionFailed(message)
        return answer.data

    def _webhook(self, event: str, prediction: Json) -> None:
        notes = prediction["sandbox"]
        if not notes["webhook"] or event not in notes["filter"]:
            return
        body = json.dumps(public(prediction)).encode()
        self.box.outbox.post(
            "replicate", event, notes["webhook"], f"msg_{token62(27)}", prediction["id"], body,
            "standard",
        )  # fmt: skip

    def _note(self, operation: str, effect: str, prediction: Json) -> None:
        shown = {name: str(value)[:300] for name, value in prediction["input"].items()}
        details = {"input": shown, "model": prediction["model"], "error": prediction["error"]}
        self.store.journal("replicate", operation, effect, prediction["id"], None, details)


def public(prediction: Json) -> Json:
    """Return a prediction without the sandbox's internal data."""
    return {name: value for name, value in prediction.items() if name != "sandbox"}


def _data_uri(name: str, address: str) -> bytes:
    head, comma, data = address.partition(",")
    try:
        if not comma:
            raise ValueError("no comma")
        raw = unquote_to_bytes(data)
        return base64.b64decode(raw) if head.endswith(";base64") else raw
    except ValueError as error:
        raise PredictionFailed(f"{name} is not a valid data URI") from error
