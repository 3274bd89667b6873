"""Train a model at Replicate: the training makes a version of a model that the account owns.

Trainings have neither metadata nor idempotency keys, and no lifetime of their own. A training whose
answer was lost is recognised by its version and its whole input, and no other workflow may have
claimed it.
https://replicate.com/docs/topics/fine-tuning
"""

from datetime import timedelta
from functools import partial

from pydantic import Field, JsonValue

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
from app.platform import (
    ActionInput,
    ActionOutput,
    CannotTell,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Made,
    Never,
    Undo,
    action,
)
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.replicate import pricing
from tasks.replicate.client import ReplicateApi, api
from tasks.replicate.finding import ATTEMPT_SECONDS, CLOCKS_DIFFER, made_by
from tasks.replicate.settings import ReplicateSettings
from tasks.signatures import text_at

_CREATE = "trainings.create"
_LIST_LAG = timedelta(seconds=60)
_NAME = r"^[\w.-]+/[\w.-]+"


class TrainInput(ActionInput):
    """`model` is what is trained, `owner/name:version`; `destination` is the `owner/name` of a
    model of the account that exists. `input` are the inputs of the training, such as the address of
    a ZIP file of pictures."""

    model: str = Field(pattern=rf"{_NAME}:[0-9a-f]{{64}}$", max_length=300)
    destination: str = Field(pattern=rf"{_NAME}$", max_length=200)
    input: dict[str, JsonValue] = Field(max_length=200)


def _names(operation: str, response: Json) -> Made:
    """A training has an id."""
    return Made(effect_id=text_at(response, "id"))


@action(
    "replicate.train",
    input=TrainInput,
    effect=Effect.LOOKUP,
    attempt_seconds=ATTEMPT_SECONDS,
    slow=True,
    names=_names,
)
def train(call: Call, given: TrainInput) -> Json:
    """Train the model: {training, version, weights}; `version` is `owner/name:version`.

    Raises Permanent with Replicate's message if the training fails or is stopped.
    """
    replicate = api()
    known = call.external_id or _start(call, given, replicate)
    pause = ReplicateSettings.current().poll_seconds
    if call.external_id is None:
        raise Suspend(known, poll_seconds=pause)
    seen = call.state_of(known, lambda: replicate.training(known), pause)
    if seen["is_running"]:
        raise Suspend(known, poll_seconds=pause)
    _book(call, known, seen, given.model)
    if seen["status"] != "succeeded" or not seen["version"]:
        raise Permanent(
            str(seen["error"] or f"the training ended as {seen['status']} without a version"),
            code=f"training_{seen['status']}",
            detail={"training": known},
        )
    return {"training": known, "version": seen["version"], "weights": seen["weights"]}


class Training(ActionOutput):
    """The id of the training at Replicate, and the version `owner/name:version` that it has made.

    `weights` is an address at Replicate, or null; it expires.
    """

    training: str
    version: str
    weights: str | None


train.describe(
    output=Training,
    example={
        "model": f"acme/trainer:{'0' * 64}",
        "destination": "acme/portraits",
        "input": {"input_images": "https://example.com/pictures.zip", "trigger_word": "TOK"},
    },
)


@train.costs_at_most
def train_ceiling(given: TrainInput) -> int:
    """The most that a training is expected to cost."""
    return _price(ReplicateSettings.current().ceiling_training_seconds).micro_usd


train.allowance = lambda given, timeout_seconds: pricing.allowance(
    train_ceiling(given), timeout_seconds
)


@train.looked_up
def find_training(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the training in Replicate's list, which may lag behind."""
    since = intent.first_sent_at - CLOCKS_DIFFER
    until = intent.first_sent_at + timedelta(seconds=ATTEMPT_SECONDS) + CLOCKS_DIFFER
    ours = {str(each.response["id"]) for each in call.sendings(_CREATE) if each.response}
    found = [
        each
        for each in api().trainings(since, until, lambda seen: _is_of(intent.request, seen))
        if each["id"] not in ours and _is_free(call, each["id"])
    ]
    if len(found) == 1:
        return Found({"id": found[0]["id"], "status": found[0]["status"]})
    if found:
        return CannotTell(600.0, f"{len(found)} trainings may be that of this step")
    left = _LIST_LAG.total_seconds() - call.age_seconds(intent)
    if left > 0:
        return CannotTell(min(left, 15.0), "Replicate's list may not show a new training yet")
    return Never()


@train.compensation
def discard_training(call: Call, undo: Undo) -> Json:
    """Stop the training, or delete the version that it has made.

    Replicate deletes no version of a public model, and none that is deployed: then it is `kept`.
    """
    replicate = api()
    known = made_by(undo, _CREATE, partial(find_training, call), "a training")
    if known is None:
        return {"result": "nothing", "training": None}
    try:
        seen = replicate.training(known)
        if seen["is_running"]:
            replicate.cancel_training(known)
            seen = replicate.training(known)
            if seen["is_running"]:
                raise Retryable("the training has not stopped yet", code="still_running", after=5.0)
            result = "canceled"
        else:
            result = _without_version(replicate, seen["version"])
    except Permanent as err:
        if err.code != "not_found":
            raise
        return {"result": "already", "training": known}
    _book(call, known, seen, str((undo.input or {}).get("model", "")))
    return {"result": result, "training": known}


def _start(call: Call, given: TrainInput, replicate: ReplicateApi) -> str:
    where = "the step's `model`"
    tariffs.require_alive(call, "replicate", given.model, operation=_CREATE, setting=where)
    name, _, version = given.model.partition(":")
    request = {
        "model": name,
        "version": version,
        "destination": given.destination,
        "input": given.input,
        "webhook": call.hook_url,
        "webhook_events_filter": ["start", "completed"],
    }
    made = call.once(_CREATE, request, lambda r, _key: replicate.create_training(r))
    call.claim_object(str(made["id"]), None)
    return str(made["id"])


def _is_of(request: Json, seen: Json) -> bool:
    return (seen.get("version"), seen.get("input")) == (request["version"], request["input"])


def _is_free(call: Call, training: str) -> bool:
    """Whether no other workflow has the training; it is then claimed for this one."""
    try:
        call.claim_object(training, None)
    except Permanent as err:
        if err.code != "belongs_to_other":
            raise
        return False
    return True


def _without_version(replicate: ReplicateApi, version: str | None) -> str:
    if version is None:
        return "already"
    try:
        return "deleted" if replicate.delete_version(version) else "already"
    except Permanent:
        return "kept"


def _book(call: Call, training: str, seen: Json, model: str) -> None:
    cost = Cost(0) if seen["status"] == "aborted" else _price(seen["predict_seconds"])
    tariffs.spend(call, "replicate", cost, of=training, model=model)


def _price(seconds: float) -> Cost:
    hardware = ReplicateSettings.current().training_hardware
    return tariffs.book("replicate").cost(hardware, {"seconds": seconds}, current.today())
