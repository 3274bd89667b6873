"""Train a model at Replicate: the training makes a version of a model that the account owns.

Trainings have neither metadata nor idempotency keys, and no lifetime of their own. A training whose
answer was lost is recognised as finding.py says: by a webhook, or by its version, its whole input
and, once it has ended, its destination.
https://replicate.com/docs/topics/fine-tuning
"""

from dataclasses import replace
from functools import partial

from pydantic import Field, JsonValue

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
from app.platform import (
    ActionInput,
    ActionOutput,
    Effect,
    Intent,
    Json,
    LookupAnswer,
    Made,
    Undo,
    action,
)
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.replicate import finding, ownership, pricing
from tasks.replicate.client import ReplicateApi, api
from tasks.replicate.finding import Jobs, Likeness
from tasks.replicate.settings import ReplicateSettings
from tasks.signatures import text_at

_CREATE = "trainings.create"
_NAME = r"^\w[\w.-]*/\w[\w.-]*"


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
    attempt_seconds=finding.ATTEMPT_SECONDS,
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
    replicate = api()
    trainings = Jobs(
        "training",
        replicate.sent_training,
        replicate.trainings,
        _likeness,
        lambda own, other: all(own[each] == other[each] for each in ("version", "input")),
        lambda own, other, seen: (
            own["destination"] != other["destination"] and _destination(seen) is None
        ),
    )
    return finding.find_job(call, intent, trainings)


@train.compensation
def discard_training(call: Call, undo: Undo) -> Json:
    """Stop the training, or delete the version that it has made.

    Replicate deletes no version of a public model, and none that is deployed: then it is `kept`.
    """
    replicate = api()
    known = finding.made_by(undo, _CREATE, partial(find_training, call), "a training")
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
    made = call.recorded(_CREATE)
    if made is not None:
        return str(made["id"])
    where = "the step's `model`"
    tariffs.require_alive(call, "replicate", given.model, operation=_CREATE, setting=where)
    name, _, version = given.model.partition(":")
    ownership.require(call, ownership.MODEL, name)
    _claim_destination(call, given.destination, replicate)
    request = {
        "model": name,
        "version": version,
        "destination": given.destination,
        "input": given.input,
        "webhook": finding.hook_url(call),
        "webhook_events_filter": ["start", "completed"],
    }
    made = call.once(_CREATE, request, lambda r, _key: replicate.create_training(r))
    return str(made["id"])


def _claim_destination(call: Call, destination: str, replicate: ReplicateApi) -> None:
    """Claim the model that gets the new version. A model that others run is not claimed: neither
    one of another account nor the one that swaps faces for all."""
    account = replicate.account()
    if destination.partition("/")[0].lower() != account.lower():
        raise Permanent(
            f"the destination {destination} is no model of the account {account}",
            code="destination_elsewhere",
        )
    shared = ReplicateSettings.current().face_swap_model.partition(":")[0]
    if destination.lower() == shared.lower():
        raise Permanent(
            f"the destination {destination} is the model that all face swaps use",
            code="destination_shared",
        )
    ownership.claim(call, ownership.MODEL, destination)


def _likeness(request: Json, seen: Json) -> Likeness:
    """How alike a listed training is what was requested so."""
    if (named := finding.likeness_of_hook(request, seen)) is not None:
        return named
    destination = _destination(seen)
    if destination is not None and destination.lower() != request["destination"].lower():
        return Likeness.OTHER
    version = finding.likeness_of_text(seen.get("version"), request["version"])
    return finding.least(version, finding.likeness_of_input(request, seen))


def _destination(seen: Json) -> str | None:
    """The model that gets a training's version, if the answer shows it, as it does at its end."""
    output = seen.get("output")
    version = output.get("version") if isinstance(output, dict) else None
    shown = version.partition(":")[0] if isinstance(version, str) else seen.get("destination")
    return shown if isinstance(shown, str) and "/" in shown else None


def _without_version(replicate: ReplicateApi, version: str | None) -> str:
    if version is None:
        return "already"
    try:
        return "deleted" if replicate.delete_version(version) else "already"
    except Permanent:
        return "kept"


def _book(call: Call, training: str, seen: Json, model: str) -> None:
    tariffs.spend(call, "replicate", training_cost(seen), of=training, model=model)


def training_cost(seen: Json) -> Cost:
    """What an ended training costs. If it is not known for how long it ran, as much as the longest,
    as an estimate."""
    if seen["status"] == "aborted":
        return Cost(0)
    if seen["predict_seconds"] is not None:
        return _price(seen["predict_seconds"])
    settings = ReplicateSettings.current()
    unknown = ((settings.training_hardware, "seconds"),)
    return replace(_price(settings.ceiling_training_seconds), estimated=unknown)


def _price(seconds: float) -> Cost:
    hardware = ReplicateSettings.current().training_hardware
    return tariffs.book("replicate").cost(hardware, {"seconds": seconds}, current.today())
