"""What predictions and trainings share: their first record, their time, and how they end."""

from __future__ import annotations

import json
import time
from typing import Any

from ops.sandbox.box import Box, iso, token36
from ops.sandbox.replicate.delivery import hook_notes
from ops.sandbox.store import Json


def new(
    box: Box, kind: str, operation: str, model: str, version: str, body: Json, /, **notes: Any
) -> Json:
    """Return the record of a job that will start; `kind` is `predictions` or `trainings`.

    It is made in the real time, from which its users find it. `notes` are the sandbox's own.
    """
    fault = box.faults.take("replicate", operation, ("fail",), json.dumps(body))
    job_id, now = token36(26), round(time.time(), 6)  # as its text says it
    base = f"{box.urls['replicate']}/v1/{kind}/{job_id}"
    return {
        "id": job_id,
        "model": model,
        "version": version,
        "input": body["input"],
        "logs": "",
        "error": None,
        "source": box.settings.text("replicate.source"),
        "status": "starting",
        "created_at": iso(now),
        "started_at": None,
        "completed_at": None,
        "urls": {
            "cancel": f"{base}/cancel",
            "get": base,
            "web": f"https://replicate.com/p/{job_id}",
        },
        "sandbox": {
            **hook_notes(body),
            "fail": (fault.parameters.get("error") or "Sandbox fault") if fault else None,
            "fail_as": fault.parameters.get("as", "failed") if fault else None,
            "created": now,
            "ahead": box.ahead(),
            **notes,
        },
    }


def time_of(box: Box, job: Json) -> float:
    """Return the time at which a job is: from its creation on, the sandbox's time passes for it."""
    return box.now() - float(job["sandbox"]["ahead"])


def start(box: Box, job: Json) -> None:
    """Let a job begin."""
    now = time_of(box, job)
    job |= {"status": "processing", "started_at": iso(now)}
    job["sandbox"]["started"] = now


def end(box: Box, job: Json, status: str) -> None:
    """Give a job its last status, and its metrics."""
    now, notes = time_of(box, job), job["sandbox"]
    metrics = {"total_time": round(now - notes["created"], 6)}
    if "started" in notes:
        metrics["predict_time"] = round(now - notes["started"], 6)
    job |= {"status": status, "completed_at": iso(now), "metrics": metrics}
    notes["ended"] = now
