"""Reads what Replicate answers about files and predictions; what it raises ends as `unreadable`.

https://replicate.com/docs/topics/predictions/lifecycle
"""

from datetime import datetime

from app.outbound import http
from app.platform import Json

_ENDED = frozenset(("succeeded", "failed", "canceled", "aborted"))
_MOST_PREDICT_SECONDS = 7 * 86_400.0
"""A prediction that says that it ran for longer has not measured it."""


def file(seen: Json) -> Json:
    """An uploaded file: {id, url}."""
    return {"id": http.text_at(seen, "id"), "url": http.text_at(seen, "urls", "get")}


def carries(seen: Json, metadata: Json) -> bool:
    """Whether an uploaded file has these metadata."""
    theirs = seen.get("metadata")
    return isinstance(theirs, dict) and all(theirs.get(name) == v for name, v in metadata.items())


def state(seen: Json) -> Json:
    """A prediction as it is listed: {id, status}."""
    return {"id": http.text_at(seen, "id"), "status": http.text_at(seen, "status")}


def prediction(seen: Json) -> Json:
    """A prediction: {id, status, is_running, output, error, predict_seconds}."""
    known = state(seen)
    is_ended = known["status"] in _ENDED or bool(seen.get("completed_at"))
    return known | {
        "is_running": not is_ended,
        "output": http.bounded(seen.get("output")),
        "error": http.bounded(seen.get("error")),
        "predict_seconds": _predict_seconds(seen),
    }


def _predict_seconds(seen: Json) -> float:
    """For how long the model ran. `metrics.total_time` is longer: it includes the wait for a start.

    A prediction that was stopped may have no `predict_time`. It then ran from its start to its end;
    one that never started has cost nothing.
    """
    told = (seen.get("metrics") or {}).get("predict_time")
    if isinstance(told, int | float) and 0 <= told < _MOST_PREDICT_SECONDS:
        return float(told)
    if seen.get("started_at") and seen.get("completed_at"):
        return max((time(seen["completed_at"]) - time(seen["started_at"])).total_seconds(), 0.0)
    return 0.0


def time(text: str) -> datetime:
    """A time as Replicate states it. Raises ValueError if it is none."""
    return datetime.fromisoformat(text)
