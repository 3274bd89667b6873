"""What predictions and deployments cost: by the pictures that are made, or by seconds of hardware.

Invariant: what may be reserved (`most`, `most_of_deployment`) is not below what is booked. What
runs a model is not told by Replicate; so a model without a price of its own is counted at the
dearest hardware, as an estimate of which the operators are told (app/tariffs/book.py).
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from math import ceil

from app.engine.call import Call
from app.platform import DEFAULT_TIMEOUT_SECONDS, Allowance, Intent, Json
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.replicate import outputs
from tasks.replicate.finding import CREATE
from tasks.replicate.settings import ReplicateSettings

PICTURES = "pictures"
"""The unit of a price for each picture that a model makes (app/tariffs/rows.py)."""
_SECONDS = "seconds"
_LEAST_LIFETIME, _LEAST_MARK, _MARK_PART = 30.0, 120.0, 0.05
"""How much longer than its step's time-out a prediction may live (`finding.lifetime`)."""
_HOUR = 3600.0


def cost(seen: Json, model: str, sent: Sequence[Intent]) -> Cost:
    """What an ended prediction costs, also if it failed or was stopped: the time that it ran, as
    Replicate says it, or the pictures that it has made. One that was aborted has not begun, and is
    free (https://replicate.com/changelog/2025-10-16-prediction-deadlines).

    How many pictures those were is not known once Replicate has removed them. Then as many count as
    a prediction makes at most. If it is not known for how long it ran, it costs all that it may.
    Both are estimates.
    """
    if seen["status"] == "aborted":
        return Cost(0)
    request = _request(sent, seen["id"])
    hardware = str(request.get("hardware", ""))
    seconds, pictures = seen["predict_seconds"], outputs.count(seen)
    item = "" if hardware else _sold_by(model, PICTURES)
    if item:
        known = ReplicateSettings.current().ceiling_pictures if pictures is None else pictures
        found = tariffs.book("replicate").cost(item, {PICTURES: known}, current.today())
        return found if pictures is not None else replace(found, estimated=((item, PICTURES),))
    if seconds is None:
        lasts = float(request.get("cancel_after") or _lives(DEFAULT_TIMEOUT_SECONDS))
        found = _dearest(model, lasts, hardware)
        return replace(found, estimated=((_named(model), _SECONDS),))
    return _of_seconds(model, float(seconds), hardware)


def most(model: str, timeout_seconds: float) -> int:
    """The most that a prediction of a step with this time-out may cost, in micro-USD.

    Replicate ends it soon after the time-out, and any after `ceiling_seconds`. The hardware of a
    deployment is that of the prediction's time, so that here it is not known.
    """
    item = _sold_by(model, PICTURES)
    if item:
        pictures = {PICTURES: ReplicateSettings.current().ceiling_pictures}
        return tariffs.book("replicate").cost(item, pictures, current.today()).micro_usd
    return _dearest(model, _lives(timeout_seconds), "").micro_usd


def allowance(micro_usd: int, seconds: float, *, has_place: bool = True) -> Allowance:
    """What a step takes of what the settings allow at Replicate."""
    settings = ReplicateSettings.current()
    return Allowance(
        micro_usd,
        seconds,
        has_place,
        settings.running,
        settings.running_of_organisation,
        _micro_usd(settings.hourly_usd),
        _micro_usd(settings.hourly_usd_of_organisation),
    )


def allowance_of_prediction(micro_usd: int, timeout_seconds: float, number: int = 1) -> Allowance:
    """What a prediction takes, or so many one after the other: a place until the last one ends, and
    the most that all may cost."""
    return allowance(micro_usd, number * _lives(timeout_seconds))


def most_of_deployment(hardware: str, min_instances: int) -> int:
    """What the instances of a deployment that always run cost in `deployment_hours`.

    No step watches a deployment, which outlives its workflow, and nothing else of ours sees what it
    costs later. So the step that lets instances run reserves and books the time in which an
    operator notices them; each later release does the same again.
    """
    hours = ReplicateSettings.current().deployment_hours
    used = {_SECONDS: hours * _HOUR * min_instances}
    return tariffs.book("replicate").cost(hardware, used, current.today()).micro_usd


def book_deployment(call: Call, name: str, seen: Json) -> None:
    """Book the instances that always run of a release that the step has made, once."""
    made = (*call.sendings("deployments.create"), *call.sendings("deployments.update"))
    if made and seen["min_instances"]:
        cost = Cost(most_of_deployment(seen["hardware"], seen["min_instances"]))
        of = f"deployment {name} release {seen['number']}"
        tariffs.spend(call, "replicate", cost, of=of, model=name)


def _of_seconds(model: str, seconds: float, hardware: str) -> Cost:
    book, day, used = tariffs.book("replicate"), current.today(), {_SECONDS: seconds}
    if hardware:
        return book.cost(hardware, used, day)
    item = _sold_by(model, _SECONDS)
    if item:
        return book.cost(item, used, day)
    settings = ReplicateSettings.current()
    if _named(model) == _named(settings.face_swap_model):
        return book.cost(settings.hardware, used, day)
    if settings.ceiling_hardware:
        found = book.cost(settings.ceiling_hardware, used, day)
        return replace(found, estimated=((_named(model), _SECONDS),)) if seconds else found
    return book.cost(_named(model), used, day)


def _dearest(model: str, lasts: float, hardware: str) -> Cost:
    """The most that a prediction may cost that lasts no longer. An official model without a price
    may be sold by its pictures."""
    settings = ReplicateSettings.current()
    found = _of_seconds(model, min(lasts, settings.ceiling_seconds), hardware)
    if not found.estimated:
        return found
    pictures = {PICTURES: settings.ceiling_pictures}
    other = tariffs.book("replicate").cost(_named(model), pictures, current.today())
    return max(found, other, key=lambda each: each.micro_usd)


def _sold_by(model: str, unit: str) -> str:
    """The name under which a model has a price for a unit: its version, or the model; empty if
    there is none."""
    book, today = tariffs.book("replicate"), current.today()
    return next((name for name in (model, _named(model)) if book.has_price(name, unit, today)), "")


def _named(model: str) -> str:
    return model.partition(":")[0]


def _lives(timeout_seconds: float) -> float:
    """The longest life of a prediction of a step with this time-out."""
    seconds = max(_LEAST_LIFETIME, float(ceil(timeout_seconds)))
    return seconds + max(_LEAST_MARK, seconds * _MARK_PART)


def _request(sent: Sequence[Intent], prediction: str) -> Json:
    """The request that has made a prediction; the last one if no record names it."""
    made = [each for each in sent if each.operation == CREATE]
    own = [each for each in made if (each.response or {}).get("id") == prediction]
    return (own or made)[-1].request if made else {}


def _micro_usd(usd: Decimal | None) -> int | None:
    return None if usd is None else int(usd * 1_000_000)
