"""Attempts after an attempt: what was made is used, and files that have expired are sent anew."""

from typing import Any

import pytest

from app import db
from app.errors import NotServed
from ops.sandbox.replicate.gallery import HELLO_WORLD, OWNER
from tasks.replicate import answers
from tasks.replicate.failover.ended import predict_cost
from tasks.replicate.settings import ReplicateSettings
from tasks.replicate.training import training_cost
from tests.contract.cases import Claim
from tests.contract.pictures import wait
from tests.contract.replicate.cases import PREDICT, TRAIN, ask, predict, train
from tests.contract.vendors import Vendors


def test_a_prediction_that_was_made_goes_on_though_its_deployment_is_gone(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__unused_seconds=0.0)
    body = {"name": "brief", "model": HELLO_WORLD.full_name, "version": HELLO_WORLD.version,
            "hardware": "cpu", "min_instances": 0, "max_instances": 1}  # fmt: skip
    assert ask("POST", "/deployments", body).ok
    given = {"deployment": f"{OWNER}/brief", "input": {"text": "Ada"}}
    prepared = step("replicate.predict", given)
    prediction = PREDICT.begin(prepared)
    assert wait(prepared, prediction)["text"] == "hello Ada"
    assert ask("DELETE", f"/deployments/{OWNER}/brief").ok
    # The worker died before it recorded that the step waits.
    assert PREDICT.begin(prepared) == prediction


def test_a_training_that_was_made_goes_on_though_its_model_belongs_to_another(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(**TRAIN.held)
    prepared = train(step)
    training = TRAIN.begin(prepared)
    db.rows("UPDATE platform_objects SET organisation_id = gen_random_uuid() RETURNING 1", ())
    assert TRAIN.begin(prepared) == training


def test_files_that_have_expired_while_the_step_was_held_are_uploaded_again(
    step: Claim, vendors: Vendors
) -> None:
    prepared = predict(step)
    for _ in range(2):
        vendors.fault("replicate", "predictions.create", "status", status=402)
        with pytest.raises(NotServed):
            prepared.run()
    assert vendors.count("files") == 2, "files that are new enough are used"
    db.rows("UPDATE intents SET first_sent_at = first_sent_at - interval '1 day' RETURNING 1", ())
    vendors.advance(86_500)
    vendors.fault("replicate", "predictions.create", "status", status=402)
    with pytest.raises(NotServed):
        prepared.run()
    prediction = PREDICT.begin(prepared)
    assert vendors.count("files") == 4
    made = wait(prepared, prediction)
    assert made["prediction"] == prediction
    assert prepared.undo(external_id=prediction, output=made)["files_deleted"] == 2


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({"metrics": {"predict_time": 2.5}}, 2.5),
        ({"metrics": {}, "started_at": "2026-12-01T00:00:00Z",
          "completed_at": "2026-12-01T00:00:07Z"}, 7.0),
        ({"status": "canceled", "metrics": {}, "completed_at": "2026-12-01T00:00:07Z"}, 0.0),
        ({"metrics": {}}, None),
        ({"metrics": []}, None),
        ({"metrics": {"predict_time": -1}}, None),
        ({"metrics": {"predict_time": "2.5"}}, None),
        ({"status": "failed", "started_at": "2026-12-01T00:00:00Z"}, None),
        ({"status": "failed", "started_at": "soon", "completed_at": "later"}, None),
    ],
)  # fmt: skip
def test_a_running_time_that_is_not_told_is_not_taken_for_none(
    more: dict[str, Any], seconds: float | None
) -> None:
    seen = {"id": "p", "status": "succeeded", "output": "text", **more}
    assert answers.prediction(seen)["predict_seconds"] == seconds
    assert answers.training(seen)["predict_seconds"] == seconds


def test_a_running_time_that_is_not_known_costs_as_much_as_the_longest(step: Claim) -> None:
    prepared = predict(step)
    seen = answers.prediction({"id": "p", "status": "succeeded", "output": "text"})
    settings = ReplicateSettings.current()
    cost = predict_cost(seen, settings.face_swap_model, "")
    assert cost.micro_usd == prepared.ceiling > 0
    assert cost.estimated == ((settings.hardware, "seconds"),)
    cost = training_cost(answers.training({"id": "t", "status": "failed", "started_at": "?"}))
    assert cost.micro_usd == train(step).ceiling > 0
    assert cost.estimated == ((settings.training_hardware, "seconds"),)
    aborted = {"id": "t", "status": "aborted", "started_at": "?"}
    assert training_cost(answers.training(aborted)).micro_usd == 0
    assert predict_cost(answers.prediction(aborted), settings.face_swap_model, "").micro_usd == 0
