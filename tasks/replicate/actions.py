"""Swap a face in one picture at Replicate, and store the result before Replicate removes it.

Invariant: every step uploads its own two input files. Predictions have neither metadata nor
idempotency keys, so a step's prediction is recognised by the addresses of its input files.
https://replicate.com/docs/topics/predictions/lifecycle
"""

import hashlib
import mimetypes
from dataclasses import replace
from datetime import timedelta

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
from app.files import provenance
from app.platform import (
    ActionOutput,
    CannotTell,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Made,
    Never,
    Reuse,
    Undo,
    action,
)
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.replicate import outputs
from tasks.replicate.client import ReplicateApi, api
from tasks.replicate.settings import ReplicateSettings
from tasks.reuse import Reusable, account_of, age_seconds
from tasks.signatures import text_at

_CREATE = "predictions.create"
PICTURES = "pictures"
"""The unit of a price for each picture that a model makes (app/tariffs/rows.py)."""
_DONE = ("succeeded", "skipped", "compensated")
_ATTEMPT_SECONDS = 90.0
"""A call is sent within an attempt, and never again before it is known what became of it."""
_CLOCKS_DIFFER = timedelta(minutes=5)
_LIST_LAG = timedelta(seconds=60)


class PredictInput(Reusable):
    """The face of artifact `source` is put into artifact `target`; both are ids of artifacts.

    `model` is `owner/name` or `owner/name:version`; without it the configured model is used.
    """

    source: str = Field(min_length=1, max_length=64)
    target: str = Field(min_length=1, max_length=64)
    model: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+(:\w+)?$", max_length=200)


def _names(operation: str, response: Json) -> Made:
    """A prediction has an id; a webhook names an uploaded file by its address."""
    if operation.startswith("files.create"):
        return Made(address=text_at(response, "url"))
    return Made(effect_id=text_at(response, "id"))


@action(
    "replicate.predict",
    input=PredictInput,
    effect=Effect.LOOKUP,
    attempt_seconds=_ATTEMPT_SECONDS,
    slow=True,
    names=_names,
)
def predict(call: Call, given: PredictInput) -> Json:
    """Swap the face, and return {picture, prediction, vendor_sha256, sha256}.

    Raises Permanent with the model's own message if the prediction fails.
    """
    replicate = api()
    # After a wait the id of the prediction is known, so nothing is uploaded or created again.
    known = call.external_id or _start(call, given, replicate)
    pause = ReplicateSettings.current().poll_seconds
    if call.external_id is None:
        raise Suspend(known, poll_seconds=pause)
    seen = call.state_of(known, lambda: replicate.prediction(known), pause)
    if seen["is_running"]:
        raise Suspend(known, poll_seconds=pause)
    tariffs.spend(
        call, "replicate", _cost(seen, _model(given.model)), of=known, model=_model(given.model)
    )
    if seen["status"] != "succeeded":
        raise Permanent(
            str(seen["error"] or f"the prediction ended as {seen['status']}"),
            code=f"prediction_{seen['status']}",
            detail={"prediction": known},
        )
    return _keep(call, known, outputs.picture(replicate, seen))


class KeptPicture(ActionOutput):
    """A picture in the store. `url` is a signed link that is valid for a day; the digests are those
    of the kept picture and of what the vendor made."""

    id: str
    url: str
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    vendor_sha256: str | None


class Prediction(ActionOutput):
    """The picture, the id of the prediction at Replicate, and the digests of the picture.

    `prediction` is null if the step has taken the picture from an equal step (see `cache`).
    """

    picture: KeptPicture
    prediction: str | None
    vendor_sha256: str
    sha256: str


predict.describe(
    output=Prediction,
    example={
        "source": "01890a5d-ac96-774b-bcce-b302099a8057",
        "target": "01890a5d-ac96-774b-bcce-b302099a8058",
    },
)


def _account() -> Json:
    settings = ReplicateSettings.current()
    return account_of(settings.base_url, settings.api_token)


def _equal_request(call: Call, given: PredictInput) -> Json:
    model = api().model(_model(given.model))
    digests = {role: call.artifacts.digest(getattr(given, role)) for role in ("source", "target")}
    return {"version": model.version, "mark": provenance.DIGITAL_SOURCE_TYPE, **digests}


def _adopted(call: Call, output: Json) -> Json:
    picture = output["picture"]
    return output | {
        "picture": call.artifacts.copy(picture["id"], vendor_sha256=picture["vendor_sha256"]),
        # It belongs to the step that has made it, which alone may look at it or stop it.
        "prediction": None,
    }


predict.reuse = Reuse(
    account=_account,
    request=_equal_request,
    # The picture follows from the two others, so an equal request has an equal result.
    seconds=lambda given: age_seconds(given, ReplicateSettings.current().cache_seconds),
    making_seconds=lambda: 600.0,
    adopt=_adopted,
)


@predict.costs_at_most
def predict_ceiling(given: PredictInput) -> int:
    """The most that a prediction is expected to cost: Replicate itself sets no limit but its own
    time-out."""
    settings, model = ReplicateSettings.current(), _model(given.model)
    return _price(model, settings.ceiling_seconds, settings.ceiling_pictures).micro_usd


@predict.looked_up
def find_prediction(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the prediction by its input files in Replicate's list, which may lag behind.

    Only the time in which the step may have made it is read, however long ago that is and however
    many predictions the account has made since then.
    """
    replicate = api()
    since = intent.first_sent_at - _CLOCKS_DIFFER
    if intent.operation != "predictions.create":
        # An upload may be repeated, so a file that is not found is uploaded at once.
        files = replicate.files_with(intent.request["metadata"], since)
        return Found(files[0] if files else _perform_upload(call, replicate, intent.request))
    is_unreadable = False

    def is_ours(each: Json) -> bool:
        given = each.get("input")
        return isinstance(given, dict) and given.items() >= intent.request["input"].items()

    until = intent.first_sent_at + timedelta(seconds=_ATTEMPT_SECONDS) + _CLOCKS_DIFFER
    for each in replicate.predictions(since, until, is_ours):
        if each.get("data_removed"):
            is_unreadable = True
        elif is_ours(each):
            return Found({"id": each["id"], "status": each["status"]})
    if is_unreadable:
        return CannotTell(600.0, "Replicate has removed the inputs of predictions made then")
    left = _LIST_LAG.total_seconds() - call.age_seconds(intent)
    if left > 0:
        return CannotTell(min(left, 15.0), "Replicate's list may not show a new prediction yet")
    return Never()


@predict.compensation
def discard(call: Call, undo: Undo) -> Json:
    """Cancel the prediction, erase our copies of its pictures, and delete the uploaded files.

    If the prediction is an orphan, no copies are erased, because they belong to the step's own
    prediction. The uploaded files are then deleted only if the step is done and needs them no more.
    """
    replicate = api()
    known = _prediction_of(call, undo, replicate)
    result, seen = _stop(replicate, known) if known else ("nothing", None)
    if known and seen is not None:
        model = _model((undo.input or {}).get("model"))
        tariffs.spend(call, "replicate", _cost(seen, model), of=known, model=model)
    ours = [] if undo.is_orphan else call.artifacts.written()
    erased = sum(call.artifacts.erase(each["id"]) for each in ours)
    is_in_use = undo.is_orphan and undo.status not in _DONE
    files = [] if is_in_use else _uploads_of(call, undo, replicate)
    deleted = sum(replicate.delete_file(each) for each in files)
    return {"result": result, "prediction": known, "erased": erased, "files_deleted": deleted}


def _start(call: Call, given: PredictInput, replicate: ReplicateApi) -> str:
    _require_alive(call, _model(given.model))
    model = replicate.model(_model(given.model))
    # The latest version of a model may end before the model.
    _require_alive(call, f"{_model(given.model).partition(':')[0]}:{model.version}")
    source = _upload(call, replicate, "source", given.source)
    target = _upload(call, replicate, "target", given.target)
    request = {
        "version": model.version,
        "input": {model.source_input: source, model.target_input: target},
        "webhook": call.hook_url,
        # The event `start` wakes no step. It shows that a prediction is an orphan before the
        # prediction has cost much.
        "webhook_events_filter": ["start", "completed"],
    }
    made = call.once(_CREATE, request, lambda r, _key: replicate.create_prediction(r))
    return str(made["id"])


def _require_alive(call: Call, model: str) -> None:
    where = "the step's `model`, or REPLICATE_FACE_SWAP_MODEL"
    tariffs.require_alive(call, "replicate", model, operation=_CREATE, setting=where)


def _upload(call: Call, replicate: ReplicateApi, role: str, artifact: str) -> str:
    # With the generation in it, the lookup does not take a file of an earlier generation, which may
    # be another photograph, for this one.
    metadata = {"reference": call.reference, "role": role, "generation": str(call.generation)}
    request = {"artifact": artifact, "metadata": metadata}
    made = call.once(
        f"files.create#{role}", request, lambda r, _key: _perform_upload(call, replicate, r)
    )
    return str(made["url"])


def _perform_upload(call: Call, replicate: ReplicateApi, request: Json) -> Json:
    blob = call.artifacts.read(request["artifact"])
    metadata: Json = request["metadata"]
    # The user's own file name is not sent, because it may be personal.
    filename = metadata["role"] + (mimetypes.guess_extension(blob.content_type) or "")
    return replicate.upload(blob.data, filename, blob.content_type, metadata)


def _model(chosen: str | None) -> str:
    """The model that a step uses, if it has chosen this one or none."""
    return chosen or ReplicateSettings.current().face_swap_model


def _cost(seen: Json, model: str) -> Cost:
    """What an ended prediction costs, also if it failed or was stopped: the time that it ran, as
    Replicate says it, or the pictures that it has made.

    How many those were is not known once Replicate has removed them. Then as many count as a
    prediction makes at most, as an estimate.
    """
    seconds, pictures = float(seen["predict_seconds"]), outputs.count(seen)
    if pictures is not None:
        return _price(model, seconds, pictures)
    dearest = _price(model, seconds, ReplicateSettings.current().ceiling_pictures)
    item = _sold_by_picture(model)
    return dearest if item is None else replace(dearest, estimated=((item, PICTURES),))


def _price(model: str, seconds: float, pictures: int) -> Cost:
    """A model that has a price for its pictures is paid by these, and any other by the seconds of
    the hardware."""
    book, item = tariffs.book("replicate"), _sold_by_picture(model)
    if item is not None:
        return book.cost(item, {PICTURES: pictures}, current.today())
    hardware = ReplicateSettings.current().hardware
    return book.cost(hardware, {"seconds": seconds}, current.today())


def _sold_by_picture(model: str) -> str | None:
    """The name under which the model has a price for its pictures: its version, or the model."""
    book, today = tariffs.book("replicate"), current.today()
    names = (model, model.partition(":")[0])
    return next((name for name in names if book.has_price(name, PICTURES, today)), None)


def _keep(call: Call, prediction: str, data: bytes) -> Json:
    vendor_sha256 = hashlib.sha256(data).hexdigest()
    marked = provenance.mark(data)
    extension = marked.content_type.partition("/")[2]
    picture = call.artifacts.write(
        f"picture.{extension}", marked.data, marked.content_type, vendor_sha256=vendor_sha256
    )
    return {
        "picture": picture,
        "prediction": prediction,
        "vendor_sha256": vendor_sha256,
        "sha256": picture["sha256"],
    }


def _prediction_of(call: Call, undo: Undo, replicate: ReplicateApi) -> str | None:
    recorded = undo.external_id or (undo.response("predictions.create") or {}).get("id")
    if recorded:
        return str(recorded)
    for intent in undo.intents:
        if intent.operation == "predictions.create" and intent.resolution is None:
            answer = find_prediction(call, intent)
            if isinstance(answer, Found):
                return str(answer.response["id"])
            if isinstance(answer, CannotTell):
                raise Retryable(
                    f"it is not known yet whether a prediction was made: {answer.reason}",
                    code="cannot_tell",
                    after=answer.after_seconds,
                )
    return None


def _stop(replicate: ReplicateApi, prediction: str) -> tuple[str, Json | None]:
    """Stop a prediction. Returns the result, and the ended prediction if Replicate knows it."""
    try:
        seen = replicate.prediction(prediction)
        if not seen["is_running"]:
            return "discarded" if seen["status"] == "succeeded" else "already", seen
        replicate.cancel_prediction(prediction)
        seen = replicate.prediction(prediction)
    except Permanent as err:
        if err.code == "not_found":
            return "already", None
        raise
    if seen["is_running"]:
        raise Retryable(
            "Replicate has not stopped the prediction yet", code="still_running", after=2.0
        )
    return "canceled", seen


def _uploads_of(call: Call, undo: Undo, replicate: ReplicateApi) -> list[str]:
    """The ids of the step's uploaded files, those included whose answer was lost."""
    uploads = [each for each in undo.intents if each.operation.startswith("files.create")]
    if not uploads:
        return []
    since = min(each.first_sent_at for each in uploads) - _CLOCKS_DIFFER
    found = replicate.files_with({"reference": call.reference}, since)
    recorded = [each.response["id"] for each in uploads if each.response]
    return list(dict.fromkeys([*recorded, *(each["id"] for each in found)]))
