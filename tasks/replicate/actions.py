"""Run a model at Replicate, and store what it makes before Replicate removes it.

Invariant: every step uploads its own input files, so that what was made for a step can be told
(see finding.py).
https://replicate.com/docs/topics/predictions/lifecycle
"""

from functools import partial
from typing import Any

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
from app.files import provenance
from app.platform import (
    ActionOutput,
    Effect,
    Intent,
    Json,
    LookupAnswer,
    Made,
    Reuse,
    Undo,
    action,
)
from tasks.kept_files import KeptFile
from tasks.replicate import asking, finding, outputs, pricing
from tasks.replicate.asking import PredictInput, model_name
from tasks.replicate.client import ReplicateApi, api
from tasks.replicate.failover import running as failover
from tasks.replicate.failover.ended import book, unsuccessful
from tasks.replicate.settings import ReplicateSettings
from tasks.reuse import account_of, age_seconds
from tasks.routing.inputs import ModelAsked
from tasks.signatures import text_at

_DONE = ("succeeded", "skipped", "compensated")


def _names(operation: str, response: Json) -> Made:
    """A prediction has an id; a webhook names an uploaded file by its address."""
    if operation.startswith("files.create"):
        return Made(address=text_at(response, "url"))
    return Made(effect_id=text_at(response, "id"))


@action(
    "replicate.predict",
    input=PredictInput,
    effect=Effect.LOOKUP,
    attempt_seconds=finding.ATTEMPT_SECONDS,
    slow=True,
    names=_names,
)
def predict(call: Call, given: PredictInput) -> Json:
    """Run the model: {picture, prediction, vendor_sha256, sha256}, and of another than a face swap
    {output, files, text} too.

    Raises Permanent with the model's own message if the prediction fails, `prediction_canceled` if
    it was stopped, and `prediction_aborted` if its time was over before it began. With several
    `models`, see failover.py.
    """
    replicate = api()
    if given.models is not None:
        made = failover.succeeded(call, given, replicate)
        return _made(call, given, made.prediction, made.seen) | {"route": made.route}
    # After a wait the id of the prediction is known, so nothing is uploaded or created again.
    known = call.external_id or asking.start(call, given, replicate)
    pause = ReplicateSettings.current().poll_seconds
    if call.external_id is None:
        raise Suspend(known, poll_seconds=pause)
    seen = call.state_of(known, lambda: replicate.prediction(known), pause)
    if seen["is_running"]:
        raise Suspend(known, poll_seconds=pause)
    book(call, known, seen, _paid_for(given), call.sendings(finding.CREATE))
    if seen["status"] != "succeeded":
        raise unsuccessful(known, seen)
    return _made(call, given, known, seen)


def _made(call: Call, given: PredictInput, prediction: str, seen: Json) -> Json:
    """What a prediction has made that has succeeded, once its files are kept."""
    if given.is_swap:
        kept = outputs.adopt_picture(call, api(), seen)
        return _of_picture(prediction, kept) if kept["is_marked"] else _unmarked(prediction, kept)
    return _whole(call, prediction, seen)


class LeftFile(ActionOutput):
    """A file that is too large to be copied, or one of too many, at Replicate for an hour."""

    url: str
    reason: str


class Prediction(ActionOutput):
    """The first marked picture, the id of the prediction at Replicate, and the picture's digests.

    What goes on by itself, to a page for example, says what it is: a picture without the mark is
    only in `files`, also that of a face swap.

    `prediction` is null if the step has taken the picture from an equal step (see `cache`). A
    prediction that is no face swap may have made no picture: then these are null. Its `output` is
    that of the model, in which each file is a file as in `files`; `text` is the output if it is a
    text, also one that came in parts. Both are null if the output is too large for a record: then
    it is the file `output_file`. `left` are files that were not copied. `route` are the models that
    were asked or passed over, the one that has made it last; it is empty if the step named one.
    """

    picture: KeptFile | None
    prediction: str | None
    vendor_sha256: str | None
    sha256: str | None
    output: Any = None
    files: tuple[KeptFile, ...] = ()
    text: str | None = None
    output_file: KeptFile | None = None
    left: tuple[LeftFile, ...] = ()
    route: tuple[ModelAsked, ...] = ()


predict.describe(
    output=Prediction,
    example={
        "source": "01890a5d-ac96-774b-bcce-b302099a8057",
        "target": "01890a5d-ac96-774b-bcce-b302099a8058",
    },
)


def _of_picture(prediction: str, picture: Json | None) -> Json:
    return {
        "picture": picture,
        "prediction": prediction,
        "vendor_sha256": picture["vendor_sha256"] if picture else None,
        "sha256": picture["sha256"] if picture else None,
    }


def _unmarked(prediction: str, kept: Json) -> Json:
    return _of_picture(prediction, None) | {"files": [kept]}


def _whole(call: Call, prediction: str, seen: Json) -> Json:
    sent = call.sendings(finding.CREATE)
    if seen["output"] is None and seen["is_removed"]:
        raise outputs.expired(seen)
    is_text = bool(sent and sent[-1].request.get("is_text"))
    shown = outputs.adopt(call, api(), seen, is_text=is_text)
    pictures = [each for each in shown["files"] if each["is_marked"]]
    return _of_picture(prediction, pictures[0] if pictures else None) | shown


def _paid_for(given: PredictInput) -> str:
    return given.deployment or model_name(given.model)


def _account() -> Json:
    settings = ReplicateSettings.current()
    return account_of(settings.base_url, settings.api_token)


def _equal_request(call: Call, given: PredictInput) -> Json:
    digests: Json = {}
    for role, artifacts in asking.roles(given).items():
        digests[role] = (
            [call.artifacts.digest(each) for each in artifacts]
            if isinstance(artifacts, list)
            else call.artifacts.digest(artifacts)
        )
    mark = {"mark": provenance.DIGITAL_SOURCE_TYPE}
    if given.models is not None:
        # What any of the models makes is a result of all of them.
        models = [each.model_dump() for each in given.models]
        return {"models": models, "input": given.input, "files": digests, **mark}
    runs = asking.target(given, api())
    if given.is_swap and "version" in runs.request:
        return {"version": runs.model.version, **mark, **digests}
    return {"runs": runs.request, "input": given.input, "files": digests, **mark}


def _adopted(call: Call, output: Json) -> Json:
    copies: dict[str, Json] = {}

    def copied(kept: Any) -> Any:
        if kept is None:
            return None
        if kept["id"] not in copies:
            sha256 = kept["vendor_sha256"]
            copy = call.artifacts.copy(kept["id"], vendor_sha256=sha256)
            copies[kept["id"]] = {**kept, **copy}
        return copies[kept["id"]]

    # It belongs to the step that has made it, which alone may look at it or stop it.
    own = output | {"picture": copied(output["picture"]), "prediction": None}
    if "files" in output:
        own["files"] = [copied(each) for each in output["files"]]
        own["output"] = _with_copies(output.get("output"), copies)
        own["output_file"] = copied(output.get("output_file"))
    return own


def _with_copies(output: Any, copies: dict[str, Json]) -> Any:
    if isinstance(output, list):
        return [_with_copies(each, copies) for each in output]
    if not isinstance(output, dict):
        return output
    copy = copies.get(str(output.get("id"))) if "vendor_sha256" in output else None
    return copy or {name: _with_copies(each, copies) for name, each in output.items()}


predict.reuse = Reuse(
    account=_account,
    request=_equal_request,
    # A swapped picture follows from the two others, so an equal request has an equal result. Other
    # models give another sample each time, so that a step must ask for a known one.
    seconds=lambda given: age_seconds(
        given, ReplicateSettings.current().cache_seconds if given.is_swap else 0.0
    ),
    making_seconds=lambda: 600.0,
    adopt=_adopted,
)


@predict.costs_at_most_within
def predict_ceiling(given: PredictInput, timeout_seconds: float) -> int:
    """The most that the predictions of a step with this time-out may cost: one, or one of each of
    its models."""
    if given.models is not None:
        return failover.ceiling(given, timeout_seconds)
    return pricing.most(_paid_for(given), timeout_seconds)


predict.allowance = lambda given, timeout_seconds: pricing.allowance_of_prediction(
    predict_ceiling(given, timeout_seconds), timeout_seconds, len(given.models or [None])
)


@predict.looked_up
def find_prediction(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the prediction or the uploaded file in Replicate's lists."""
    return finding.find(call, intent)


@predict.compensation
def discard(call: Call, undo: Undo) -> Json:
    """Cancel the prediction, erase our copies of its files, and delete the uploaded files.

    If the prediction is an orphan, no copies are erased, because they belong to the step's own
    prediction. The uploaded files are then deleted only if the step is done and needs them no more.
    """
    replicate = api()
    record = failover.of_last_model(undo)
    known = finding.made_by(record, finding.CREATE, partial(finding.find, call), "a prediction")
    result, seen = _stop(replicate, known) if known else ("nothing", None)
    if known and seen is not None:
        given = undo.input or {}
        own = failover.paid_for(given, undo.intents, known)
        model = own or given.get("deployment") or model_name(given.get("model"))
        book(call, known, seen, model, undo.intents)
    ours = [] if undo.is_orphan else call.artifacts.written()
    erased = sum(call.artifacts.erase(each["id"]) for each in ours)
    is_in_use = undo.is_orphan and undo.status not in _DONE
    files = [] if is_in_use else _uploads_of(call, undo, replicate)
    deleted = sum(replicate.delete_file(each) for each in files)
    return {"result": result, "prediction": known, "erased": erased, "files_deleted": deleted}


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
    since = min(each.first_sent_at for each in uploads) - finding.CLOCKS_DIFFER
    found = replicate.files_with({"reference": call.reference}, since)
    recorded = [each.response["id"] for each in uploads if each.response]
    return list(dict.fromkeys([*recorded, *(each["id"] for each in found)]))
