"""Models that Replicate sells by the picture, and not by the time that they run."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app import db
from app.errors import Permanent
from app.outbound.http import exchange_scope
from app.tariffs import current
from app.tariffs.rows import price
from tasks.replicate import outputs
from tasks.replicate.actions import predict_ceiling
from tasks.replicate.asking import PredictInput
from tasks.replicate.client import api
from tasks.replicate.pricing import PICTURES
from tasks.replicate.settings import ReplicateSettings
from tests.contract.cases import Claim
from tests.contract.pictures import wait
from tests.contract.replicate.cases import PREDICT, predict
from tests.contract.vendors import Vendors

EACH = 40_000
"""Micro-USD for a picture."""


@pytest.fixture(autouse=True)
def sold_by_picture(step: Claim) -> Iterator[None]:
    """The configured model costs so much for each picture."""
    model = ReplicateSettings.current().face_swap_model
    current.keep(price("replicate", model, PICTURES, "0.04", "2026-01-01"))
    current.forget()
    yield
    current.forget()


@pytest.mark.parametrize("is_version_named", [False, True])
def test_a_picture_is_paid_and_reserved_by_its_price(
    step: Claim, vendors: Vendors, is_version_named: bool
) -> None:
    prepared = predict(step)
    if is_version_named:
        name = ReplicateSettings.current().face_swap_model
        with exchange_scope(time.monotonic() + 5, []):
            model = f"{name}:{api().model(name).version}"
        prepared = replace(prepared, given={**prepared.given, "model": model})
    wait(prepared, PREDICT.begin(prepared))
    assert prepared.cost == EACH
    assert prepared.ceiling == ReplicateSettings.current().ceiling_pictures * EACH
    assert current.gaps() == []


def test_a_prediction_that_has_made_no_picture_costs_nothing(step: Claim, vendors: Vendors) -> None:
    vendors.fault("replicate", "predictions.create", "fail", error="no face")
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with pytest.raises(Permanent):
        wait(prepared, prediction)
    assert prepared.cost == 0


def test_pictures_that_are_not_known_are_estimated_at_the_most_and_told(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__output_expiry_seconds=0.0)
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with exchange_scope(time.monotonic() + 20, []):
        while (seen := api().prediction(prediction))["is_running"] or seen["output"] is not None:
            time.sleep(0.05)
    with pytest.raises(Permanent, match="removed"):
        wait(prepared, prediction)
    assert prepared.cost == prepared.ceiling == 4 * EACH
    (gap,) = current.gaps()
    assert (gap["item"], gap["unit"]) == (ReplicateSettings.current().face_swap_model, PICTURES)
    # What is booked is not estimated anew by the compensation, which may come days later.
    db.rows("DELETE FROM price_gaps RETURNING 1", ())
    current.forget()
    prepared.undo(external_id=prediction, status="failed", error_code="result_expired")
    assert (prepared.cost, current.gaps()) == (4 * EACH, [])


def test_a_model_without_such_a_price_is_paid_by_its_seconds(step: Claim) -> None:
    other = PredictInput(source="a", target="b", model="acme/swap")
    assert predict_ceiling(other) == 60 * 975


@pytest.mark.parametrize(
    ("output", "made"),
    [
        ("https://a.example/1.png", 1),
        (["https://a.example/1.png", "https://a.example/2.png"], 2),
        ({"image": "data:image/png;base64,AA==", "score": 0.5, "note": "done"}, 1),
        ([], 0),
        (None, None),
    ],
)
def test_the_pictures_of_an_output_are_counted(output: object, made: int | None) -> None:
    assert outputs.count({"status": "succeeded", "output": output}) == made
