"""Attempts after an attempt: what was made is used, and files that have expired are sent anew."""

from app import db
from ops.sandbox.replicate.gallery import HELLO_WORLD, OWNER
from tests.contract.cases import Claim
from tests.contract.pictures import wait
from tests.contract.replicate.cases import PREDICT, TRAIN, ask, train
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
