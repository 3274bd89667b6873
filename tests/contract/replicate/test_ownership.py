"""What one organisation deploys or trains, no other changes, deletes, runs or trains."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Permanent
from app.identity import keys
from app.platform import Json
from ops.sandbox.replicate.gallery import HELLO_WORLD, OWNER, STYLE, WORDS
from tests.contract.cases import Claim
from tests.contract.pictures import wait
from tests.contract.replicate.cases import DEPLOY, MINE, PREDICT, TRAIN, ask, deploy, train
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

HELLO = f"{OWNER}/hello"


def refused(prepared: Step) -> None:
    with pytest.raises(Permanent) as caught:
        prepared.run()
    assert caught.value.code == "belongs_to_other"


def of(step: Claim, user: UUID) -> Callable[..., Step]:
    """Claim steps of another organisation."""

    def claim(action: str, given: Json) -> Step:
        return step(action, given, user=user)

    return claim


@pytest.fixture
def bob(step: Claim) -> Callable[..., Step]:
    """Claim steps of the organisation of another user."""
    user_id, _ = keys.create_key("bob@example.com")
    return of(step, user_id)


def predict(claim: Callable[..., Step], **given: Any) -> Step:
    return claim("replicate.predict", {"input": {"text": "Ada"}, **given})


def test_a_deployment_of_another_organisation_is_neither_changed_nor_run(
    step: Claim, vendors: Vendors, bob: Callable[..., Step]
) -> None:
    DEPLOY.begin(deploy(step))
    theirs = deploy(bob)
    refused(theirs)
    refused(replace(theirs, given={**theirs.given, "max_instances": 9}))
    for name in (HELLO, HELLO.upper()):
        refused(predict(bob, deployment=name))
    assert theirs.undo()["result"] == "nothing"
    assert vendors.total() == vendors.count("model_deployments") == 1
    ours = deploy(step)
    assert replace(ours, given={**ours.given, "max_instances": 3}).run()["release"] == 2
    PREDICT.begin(predict(step, deployment=HELLO))


def test_a_deployment_that_nobody_has_made_by_us_belongs_to_the_first_who_changes_it(
    step: Claim, vendors: Vendors, bob: Callable[..., Step]
) -> None:
    body = {"name": "hello", "model": HELLO_WORLD.full_name, "version": HELLO_WORLD.version,
            "hardware": "cpu", "min_instances": 0, "max_instances": 5}  # fmt: skip
    assert ask("POST", "/deployments", body).ok
    # To run it is not to claim it.
    PREDICT.begin(predict(bob, deployment=HELLO))
    assert deploy(step).run()["release"] == 2
    refused(predict(bob, deployment=HELLO))


def test_a_name_stays_that_of_its_organisation_whatever_became_of_its_first_call(
    step: Claim, vendors: Vendors, bob: Callable[..., Step]
) -> None:
    first = deploy(step)
    with pytest.raises(Permanent):
        replace(first, given={**first.given, "hardware": "none"}).run()
    DEPLOY.begin(deploy(step))
    # The workflow that was the first has ended, and has changed nothing.
    db.row(
        "UPDATE workflows SET status = 'failed', completed_at = now() WHERE id = %s RETURNING 1",
        (first.claim.workflow_id,),
    )
    refused(deploy(bob))


def test_a_model_that_another_organisation_trains_is_not_used(
    step: Claim, vendors: Vendors, bob: Callable[..., Step]
) -> None:
    vendors.change(replicate__training_seconds=0.1)
    made = train(step)
    version = wait(made, TRAIN.begin(made))["version"]
    refused(train(bob))
    refused(predict(bob, model=version))
    refused(predict(bob, model=MINE))
    given = {"name": "theirs", "model": version, "hardware": "cpu"}
    refused(bob("replicate.deploy", given))
    given = {"model": version, "destination": f"{OWNER}/theirs", "input": {}}
    refused(bob("replicate.train", given))
    assert vendors.count("trainings") == 1
    PREDICT.begin(step("replicate.predict", {"model": version, "input": {"prompt": "red"}}))


@pytest.mark.parametrize(
    ("destination", "code"),
    [
        ("acme/words", "destination_elsewhere"),
        (f"{OWNER}/Face-Swap", "destination_shared"),
    ],
)
def test_a_model_that_others_run_is_trained_by_nobody(
    step: Claim, vendors: Vendors, bob: Callable[..., Step], destination: str, code: str
) -> None:
    made = train(step)
    made = replace(made, given={**made.given, "destination": destination})
    with pytest.raises(Permanent) as caught:
        made.run()
    assert caught.value.code == code
    assert vendors.count("trainings") == 0
    claimed = "SELECT count(*) AS n FROM platform_objects"
    assert db.rows(claimed, ()) == [{"n": 0}]


def test_public_models_are_run_and_trained_by_all(
    step: Claim, vendors: Vendors, bob: Callable[..., Step]
) -> None:
    vendors.change(**TRAIN.held)
    TRAIN.begin(train(step))
    for claim in (step, bob):
        given = {"model": f"{WORDS.full_name}:{WORDS.version}", "input": {"prompt": "rain"}}
        PREDICT.begin(claim("replicate.predict", given))
    body = {"owner": OWNER, "name": "theirs", "visibility": "private", "hardware": "cpu"}
    assert ask("POST", "/models", body).ok
    theirs = train(bob)
    assert theirs.given["model"].startswith(STYLE.full_name)
    TRAIN.begin(replace(theirs, given={**theirs.given, "destination": f"{OWNER}/theirs"}))


@pytest.mark.parametrize("name", ["../files", "acme/..", "./hello"])
def test_a_name_leads_to_no_other_address(step: Claim, name: str) -> None:
    for field in ("deployment", "model"):
        with pytest.raises(ValueError, match="validation error"):
            predict(step, **{field: name}).run()
