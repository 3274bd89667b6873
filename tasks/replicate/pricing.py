"""What predictions cost: by the pictures that they make, or by the seconds that they run."""

from collections.abc import Sequence
from dataclasses import replace

from app.platform import Intent, Json
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.replicate import outputs
from tasks.replicate.finding import CREATE
from tasks.replicate.settings import ReplicateSettings

PICTURES = "pictures"
"""The unit of a price for each picture that a model makes (app/tariffs/rows.py)."""


def cost(seen: Json, model: str, hardware: str = "") -> Cost:
    """What an ended prediction costs, also if it failed or was stopped: the time that it ran, as
    Replicate says it, or the pictures that it has made. One that was aborted has not begun, and is
    free (https://replicate.com/changelog/2025-10-16-prediction-deadlines).

    How many pictures those were is not known once Replicate has removed them. Then as many count as
    a prediction makes at most, as an estimate.
    """
    if seen["status"] == "aborted":
        return Cost(0)
    seconds, pictures = float(seen["predict_seconds"]), outputs.count(seen)
    if pictures is not None:
        return price(model, seconds, pictures, hardware)
    dearest = price(model, seconds, ReplicateSettings.current().ceiling_pictures, hardware)
    item = _sold_by_picture(model)
    return dearest if item is None else replace(dearest, estimated=((item, PICTURES),))


def price(model: str, seconds: float, pictures: int, hardware: str = "") -> Cost:
    """A model that has a price for its pictures is paid by these, and any other by the seconds of
    the hardware: that of its deployment, or the configured one."""
    book, item = tariffs.book("replicate"), _sold_by_picture(model)
    if item is not None and not hardware:
        return book.cost(item, {PICTURES: pictures}, current.today())
    paid = hardware or ReplicateSettings.current().hardware
    return book.cost(paid, {"seconds": seconds}, current.today())


def hardware_of(intents: Sequence[Intent]) -> str:
    """The hardware of the deployment that runs the step's prediction; empty if none does."""
    made = [each.request for each in intents if each.operation == CREATE]
    return str(made[-1].get("hardware", "")) if made else ""


def _sold_by_picture(model: str) -> str | None:
    """The name under which the model has a price for its pictures: its version, or the model."""
    book, today = tariffs.book("replicate"), current.today()
    names = (model, model.partition(":")[0])
    return next((name for name in names if book.has_price(name, PICTURES, today)), None)
