"""What is booked and told of predictions that have ended."""

from collections.abc import Sequence
from dataclasses import replace

from app.engine.call import Call
from app.errors import Permanent
from app.platform import Intent, Json
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.replicate import pricing
from tasks.replicate.settings import ReplicateSettings


def book(call: Call, prediction: str, seen: Json, model: str, intents: Sequence[Intent]) -> None:
    """Book what an ended prediction of a model has cost, once; `intents` are the step's calls."""
    paid = predict_cost(seen, model, pricing.hardware_of(intents))
    tariffs.spend(call, "replicate", paid, of=prediction, model=model)


def predict_cost(seen: Json, model: str, hardware: str) -> Cost:
    """What an ended prediction costs. If it is not known for how long it ran, as much as the
    longest, as an estimate."""
    if seen["predict_seconds"] is not None:
        return pricing.cost(seen, model, hardware)
    settings = ReplicateSettings.current()
    least, most = (
        pricing.cost(seen | {"predict_seconds": seconds}, model, hardware)
        for seconds in (0.0, settings.ceiling_seconds)
    )
    if least == most:
        # It is not paid by its seconds.
        return most
    unknown = (hardware or settings.hardware, "seconds")
    return replace(most, estimated=(*most.estimated, unknown))


def unsuccessful(prediction: str, seen: Json) -> Permanent:
    """The error of a prediction that has ended without success."""
    told = {
        "aborted": "its time was over before it began, so that it has cost nothing",
        "canceled": "it was stopped, by a person or because its time was over",
    }
    why = told.get(seen["status"], f"it ended as {seen['status']}")
    return Permanent(
        str(seen["error"] or f"the prediction has no result: {why}"),
        code=f"prediction_{seen['status']}",
        detail={"prediction": prediction},
    )
