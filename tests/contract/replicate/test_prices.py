"""Models that Replicate sells by the picture, and not by the time that they run."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app import db
from app.errors import Permanent
from app.outbound.http import exchange_scope
from app.platform import Intent, Json
from app.settings import Settings
from app.tariffs import current
from app.tariffs.book import Cost
from app.tariffs.rows import price
from tasks.replicate import finding, outputs, pricing
from tasks.replicate.actions import predict_ceiling
from tasks.replicate.asking import PredictInput
from tasks.replicate.client import api
from tasks.replicate.pricing import PICTURES
from tasks.replicate.settings import ReplicateSettings
from tests.contract.cases import Claim
from tests.contract.pictures import wait
from tests.contract.replicate.cases import PREDICT, deploy, predict
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


OTHER = PredictInput(source="a", target="b", model="acme/swap")
LONGEST, DEAREST = 1800, 12_200
"""For how long Replicate runs a prediction, and micro-USD for a second of 8 H100."""


def priced(item: str, unit: str, usd: str) -> None:
    current.keep(price("replicate", item, unit, usd, "2026-01-01"))
    current.forget()


def ended_as(**more: Any) -> Json:
    """An ended prediction as the client reads it, which ran for two seconds."""
    seen = {"id": "p1", "status": "succeeded", "output": "words"}
    return {**seen, "predict_seconds": 2.0, **more}


def intent(**request: Any) -> Intent:
    return Intent(0, 0, finding.CREATE, request, "key", datetime.now(UTC), "accepted", {"id": "p1"})


def test_a_model_without_a_price_is_reserved_and_paid_at_the_dearest_hardware(
    step: Claim, configure: Callable[..., Settings], fresh_database: str
) -> None:
    assert predict_ceiling(OTHER, 86_400.0) == LONGEST * DEAREST
    cost = pricing.cost(ended_as(), "acme/swap:v1", ())
    assert (cost.micro_usd, cost.estimated) == (2 * DEAREST, (("acme/swap", "seconds"),))
    # With a price of its own, it costs that.
    priced("acme/swap", "seconds", "0.000225")
    assert predict_ceiling(OTHER, 86_400.0) == LONGEST * 225
    assert pricing.cost(ended_as(), "acme/swap:v1", ()) == Cost(450)
    configure(DATABASE_URL=fresh_database, REPLICATE_CEILING_HARDWARE="gpu-t4")
    found = pricing.cost(ended_as(), "acme/other", ())
    assert (found.micro_usd, found.estimated) == (450, (("acme/other", "seconds"),))


@pytest.mark.parametrize(
    ("timeout", "most"), [(1.0, 150), (60.0, 180), (1500.0, 1620), (3600.0, LONGEST)]
)
def test_a_short_time_out_makes_the_ceiling_low(step: Claim, timeout: float, most: int) -> None:
    assert predict_ceiling(OTHER, timeout) == most * DEAREST


@pytest.mark.parametrize("timeout", [0.5, 30.0, 61.5, 2400.0, 7200.0, 86_400.0])
def test_no_prediction_lives_longer_than_is_reserved(step: Claim, timeout: float) -> None:
    prepared = step("replicate.predict", {})
    call = replace(prepared.call(), timeout_seconds=timeout)
    longest = pricing.allowance_of_prediction(0, timeout).seconds
    for generation in range(200):
        marked = replace(call, claim=replace(call.claim, generation=generation))
        assert finding.lifetime(marked) <= longest


def test_a_prediction_that_does_not_say_how_long_it_ran_costs_all_that_it_may(step: Claim) -> None:
    untimed = ended_as(predict_seconds=None)
    official = intent(official="acme/swap", cancel_after=100)
    cost = pricing.cost(untimed, "acme/swap", [official])
    assert (cost.micro_usd, cost.estimated) == (100 * DEAREST, (("acme/swap", "seconds"),))
    deployed = intent(deployment="acme/swap", hardware="gpu-t4", cancel_after=100)
    assert pricing.cost(untimed, "acme/swap", [deployed]).micro_usd == 100 * 225
    # What never began is free, and a price for its pictures needs no time.
    unbegun = ended_as(predict_seconds=0.0, status="canceled")
    assert pricing.cost(unbegun, "acme/swap", [official]) == Cost(0)
    priced("acme/swap", PICTURES, "0.04")
    image = {**untimed, "output": "https://a.example/1.png"}
    assert pricing.cost(image, "acme/swap", [official]) == Cost(EACH)


def test_instances_that_always_run_are_reserved_and_booked_for_a_day_once(
    step: Claim, vendors: Vendors
) -> None:
    prepared = deploy(step)
    day = 24 * 3600 * 225
    assert prepared.ceiling == day
    prepared.run()
    assert prepared.cost == day
    prepared.run()
    assert prepared.cost == day
    idle = replace(deploy(step), given={**prepared.given, "min_instances": 0})
    idle.run()
    assert (idle.cost, idle.ceiling) == (0, 0)


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
