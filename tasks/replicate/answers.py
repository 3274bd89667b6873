"""Reads what Replicate answers; what it raises ends as `unreadable`, if it is no Outcome.

https://replicate.com/docs/topics/predictions/lifecycle
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.errors import Permanent
from app.outbound import http
from app.payload import text_of
from app.platform import Json

_ENDED = frozenset(("succeeded", "failed", "canceled", "aborted"))
_MOST_NAME = 300
_MOST_ERROR = 10_000
"""The characters of an error that are kept; a model may say as much as it wants."""
_MOST_PREDICT_SECONDS = 7 * 86_400.0
"""A prediction that says that it ran for longer has not measured it."""
# The names that face-swap models use for the picture that is changed, and for the picture whose
# face is put into it.
_TARGET_INPUTS = ("target_image", "input_image", "target")
_SOURCE_INPUTS = ("swap_image", "source_image", "face_image", "source")


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
    """A prediction: {id, status, model, version, is_running, is_removed, output, error,
    predict_seconds}.

    `predict_seconds` are None if it is not known for how long it ran. The version of an official
    model is hidden.
    """
    known = state(seen)
    is_ended = known["status"] in _ENDED or bool(seen.get("completed_at"))
    return known | {
        **{name: _named(seen.get(name)) for name in ("model", "version")},
        "is_running": not is_ended,
        "is_removed": bool(seen.get("data_removed")),
        "output": http.bounded(seen.get("output")),
        "error": _told(seen.get("error")),
        "predict_seconds": _predict_seconds(seen),
    }


def _predict_seconds(seen: Json) -> float | None:
    """For how long the model ran; None if that is not known. `metrics.total_time` is longer: it
    includes the wait for a start.

    A prediction that was stopped may have no `predict_time`. It then ran from its start to its end;
    one that has not succeeded and never started has cost nothing.
    """
    metrics = seen.get("metrics")
    told = metrics.get("predict_time") if isinstance(metrics, dict) else None
    if isinstance(told, int | float) and 0 <= told < _MOST_PREDICT_SECONDS:
        return float(told)
    began, ended = (time_or_none(seen.get(name)) for name in ("started_at", "completed_at"))
    if began is not None and ended is not None:
        ran = max((ended - began).total_seconds(), 0.0)
        return ran if ran < _MOST_PREDICT_SECONDS else None
    has_begun = seen.get("started_at") or seen.get("status") == "succeeded"
    return None if has_begun or told is not None else 0.0


def time(text: str) -> datetime:
    """A time as Replicate states it. Raises ValueError if it is none."""
    return datetime.fromisoformat(text)


def time_or_none(text: object) -> datetime | None:
    """A time as Replicate states it; None if it is none, or does not say its zone."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def deployment(seen: Json) -> Json:
    """A deployment: {model, version, hardware, number, min_instances, max_instances, created_at}.

    `created_at` is the time of its release, None if that is not shown.
    """
    release = seen["current_release"]
    made_at = time_or_none(release.get("created_at"))
    configuration = release["configuration"]
    return {
        "model": http.text_at(release, "model"),
        "version": http.text_at(release, "version"),
        "hardware": http.text_at(configuration, "hardware"),
        **{name: _count(configuration[name]) for name in ("min_instances", "max_instances")},
        "number": _count(release["number"]),
        "created_at": made_at.isoformat() if made_at else None,
    }


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        raise ValueError(f"not a count: {value!r}")
    return value


def training(seen: Json) -> Json:
    """A training: {id, status, is_running, error, version, weights, predict_seconds}, of which the
    last is as that of a prediction."""
    known = state(seen)
    output = seen.get("output")
    made: Json = output if isinstance(output, dict) else {}
    is_ended = known["status"] in _ENDED or bool(seen.get("completed_at"))
    return known | {
        "is_running": not is_ended,
        "error": _told(seen.get("error")),
        **{name: _text_or_none(made.get(name)) for name in ("version", "weights")},
        "predict_seconds": _predict_seconds(seen),
    }


def _named(name: Any) -> str | None:
    """The name of a model or a version as it may be recorded; None if it is none."""
    return name[:_MOST_NAME] if isinstance(name, str) and name.isprintable() else None


def _told(error: Any) -> Any:
    """An error as it may be recorded: its text, or what else it is as JSON, not too long."""
    if error is None or isinstance(error, str):
        return error and error[:_MOST_ERROR]
    return text_of(http.bounded(error))[:_MOST_ERROR]


def _text_or_none(value: object) -> str | None:
    return None if value is None else http.text_at({"it": value}, "it")


@dataclass(frozen=True)
class Model:
    """A version of a model; an official model has none that a prediction could name.

    `source_input` and `target_input` are the names of its two picture inputs; empty if it has none.
    `is_text`: its output is a list of texts that are one text.
    """

    version: str
    source_input: str
    target_input: str
    is_official: bool = False
    is_text: bool = False


def model_of(seen: Json, *, is_latest: bool) -> Model:
    """What Replicate's answer says of a model, or of a version of it if not `is_latest`.

    https://replicate.com/docs/reference/http#models.get

    Raises Permanent `model_without_version` if there is no version yet.
    """
    version = (seen.get("latest_version") or {}) if is_latest else seen
    is_official = is_latest and bool(seen.get("is_official"))
    if not version and not is_official:
        raise Permanent("the model has no version yet", code="model_without_version")
    schemas = ((version.get("openapi_schema") or {}).get("components") or {}).get("schemas") or {}
    inputs = (schemas.get("Input") or {}).get("properties") or {}
    return Model(
        http.text_at(version, "id") if version else "",
        next((each for each in _SOURCE_INPUTS if each in inputs), ""),
        next((each for each in _TARGET_INPUTS if each in inputs), ""),
        is_official,
        (schemas.get("Output") or {}).get("x-cog-array-display") == "concatenate",
    )
