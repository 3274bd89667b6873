"""What is booked and told of predictions that have ended."""

from collections.abc import Sequence

from app.engine.call import Call
from app.errors import Permanent
from app.platform import Intent, Json
from tasks import tariffs
from tasks.replicate import pricing


def book(
    call: Call,
    prediction: str,
    seen: Json,
    model: str,
    intents: Sequence[Intent],
    *,
    goes_on: bool = False,
) -> None:
    """Book what an ended prediction of a model has cost, once; `intents` are the step's calls.

    `goes_on`: the step asks another model, so that it keeps what it has taken of the allowance.
    """
    paid = pricing.cost(seen, model, intents)
    tariffs.spend(call, "replicate", paid, of=prediction, model=model, goes_on=goes_on)


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
