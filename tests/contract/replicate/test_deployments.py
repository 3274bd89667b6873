"""Trainings whose versions are deployed, and deployments that are changed and given back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import Permanent, Retryable, Unknown
from app.platform import CannotTell, Found, Json, Never
from ops.sandbox.replicate.gallery import FACE_SWAP, HELLO_WORLD, OWNER
from tests.contract.cases import Claim
from tests.contract.pictures import wait
from tests.contract.replicate.cases import DEPLOY, TRAIN, ask, deploy, train
from tests.contract.vendors import Vendors

NAME = f"{OWNER}/hello"


def release() -> Json:
    found: Json = ask("GET", f"/deployments/{NAME}").json()["current_release"]
    return found


def test_a_deployment_is_created_once_and_then_changed(step: Claim, vendors: Vendors) -> None:
    made = deploy(step)
    first = made.run()
    assert (first["deployment"], first["release"]) == (NAME, 1)
    assert first["micro_usd_per_hour"] == 225 * 3600
    changed = replace(made.retried(), given={**made.given, "min_instances": 0, "max_instances": 3})
    second = changed.run()
    assert (second["release"], second["max_instances"]) == (2, 3)
    assert changed.run() == second
    assert vendors.count("model_deployments") == 1


def test_a_deployment_that_was_changed_gets_its_earlier_release_back(
    step: Claim, vendors: Vendors
) -> None:
    body = {"name": "hello", "model": HELLO_WORLD.full_name, "version": HELLO_WORLD.version,
            "hardware": "cpu", "min_instances": 0, "max_instances": 5}  # fmt: skip
    assert ask("POST", "/deployments", body).ok
    made = deploy(step)
    assert made.run()["release"] == 2
    assert made.undo()["result"] == "restored"
    configuration = {"hardware": "cpu", "min_instances": 0, "max_instances": 5}
    assert release()["configuration"] == configuration
    assert made.undo()["result"] == "already"
    assert release()["number"] == 3


def test_what_others_have_changed_since_is_left(step: Claim, vendors: Vendors) -> None:
    body = {"name": "hello", "model": HELLO_WORLD.full_name, "version": HELLO_WORLD.version,
            "hardware": "cpu", "min_instances": 0, "max_instances": 5}  # fmt: skip
    assert ask("POST", "/deployments", body).ok
    made = deploy(step)
    made.run()
    assert ask("PATCH", f"/deployments/{NAME}", {"max_instances": 9}).ok
    assert made.undo()["result"] == "changed_since"
    assert release()["configuration"]["max_instances"] == 9


def test_a_change_whose_answer_is_lost_is_found(step: Claim, vendors: Vendors) -> None:
    made = deploy(step)
    made.run()
    changed = replace(made.retried(), given={**made.given, "max_instances": 3})
    vendors.fault("replicate", "deployments.update", "lost_reply")
    with pytest.raises(Unknown):
        changed.run()
    answer = changed.look_up()
    assert isinstance(answer, Found)
    changed.adopt(answer)
    assert changed.run()["release"] == 2
    assert vendors.count("model_deployments.updated") == 1


def test_a_lost_creation_of_what_was_there_before_has_not_happened(
    step: Claim, vendors: Vendors
) -> None:
    made = deploy(step)
    vendors.fault("replicate", "deployments.create", "reset_before")
    with pytest.raises(Unknown):
        made.run()
    body = {**made.given, "model": HELLO_WORLD.full_name, "version": HELLO_WORLD.version}
    assert ask("POST", "/deployments", body).ok
    intent = made.open_intent()
    later = replace(intent, first_sent_at=intent.first_sent_at + timedelta(minutes=10))
    assert isinstance(made.look_up(later), Never)


def test_a_lost_creation_that_others_have_changed_is_neither_found_nor_denied(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(**DEPLOY.held)
    made = deploy(step)
    vendors.fault("replicate", "deployments.create", "lost_reply")
    with pytest.raises(Unknown):
        made.run()
    for changed in ({"max_instances": 9}, {"max_instances": made.given["max_instances"]}):
        assert ask("PATCH", f"/deployments/{NAME}", changed).ok
        assert isinstance(made.look_up(), CannotTell)
        assert made.undo(status="cancelled")["result"] == "changed_since"
    assert vendors.count("model_deployments.deleted") == 0


def test_a_lost_change_that_others_have_changed_is_neither_found_nor_denied(
    step: Claim, vendors: Vendors
) -> None:
    made = deploy(step)
    made.run()
    changed = replace(made.retried(), given={**made.given, "max_instances": 3})
    vendors.fault("replicate", "deployments.update", "reset_before")
    with pytest.raises(Unknown):
        changed.run()
    assert isinstance(changed.look_up(), Never)
    assert ask("PATCH", f"/deployments/{NAME}", {"max_instances": 9}).ok
    assert isinstance(changed.look_up(), CannotTell)


def test_a_change_that_was_made_is_not_made_again_once_the_deployment_is_gone(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(**DEPLOY.held)
    made = deploy(step)
    made.run()
    changed = replace(made.retried(), given={**made.given, "min_instances": 0})
    output = changed.run()
    assert ask("DELETE", f"/deployments/{NAME}").ok
    assert changed.run() == output
    assert vendors.count("model_deployments") == 1


def test_a_deletion_of_a_lost_creation_is_tried_again(step: Claim, vendors: Vendors) -> None:
    made = deploy(step)
    vendors.fault("replicate", "deployments.create", "lost_reply")
    with pytest.raises(Unknown):
        made.run()
    with pytest.raises(Retryable):
        made.undo(status="cancelled")
    vendors.advance(900)
    assert made.undo(status="cancelled")["result"] == "deleted"


def test_a_deployment_is_deleted_once_replicate_lets_it(step: Claim, vendors: Vendors) -> None:
    made = deploy(step)
    made.run()
    with pytest.raises(Retryable) as caught:
        made.undo()
    assert caught.value.code == "still_in_use"
    # It costs nothing while it waits.
    assert release()["configuration"]["min_instances"] == 0
    vendors.advance(900)
    assert made.undo()["result"] == "deleted"
    assert vendors.count("model_deployments.updated") == 1


def test_what_another_workflow_has_changed_is_not_deleted_and_another_model_is_refused(
    step: Claim, vendors: Vendors
) -> None:
    first = deploy(step)
    first.run()
    other = deploy(step)
    assert replace(other, given={**other.given, "max_instances": 3}).run()["release"] == 2
    assert first.undo()["result"] == "changed_since"
    model = f"{FACE_SWAP.full_name}:{FACE_SWAP.version}"
    third = deploy(step)
    with pytest.raises(Permanent) as caught:
        replace(third, given={**third.given, "model": model}).run()
    assert caught.value.code == "other_model"
    assert vendors.count("model_deployments.updated") == 1


def test_a_training_makes_a_version_that_is_deleted_with_it(step: Claim, vendors: Vendors) -> None:
    vendors.change(replicate__training_seconds=0.1)
    made = train(step)
    training = TRAIN.begin(made)
    output = wait(made, training)
    name, _, version = output["version"].partition(":")
    assert ask("GET", f"/models/{name}/versions/{version}").ok
    assert output["weights"].endswith("trained_model.tar")
    assert made.cost > 0
    assert made.undo(external_id=training, output=output)["result"] == "deleted"
    assert vendors.count("versions.deleted") == 1


def test_the_version_of_a_training_that_is_deployed_is_kept(step: Claim, vendors: Vendors) -> None:
    vendors.change(replicate__training_seconds=0.1)
    made = train(step)
    training = TRAIN.begin(made)
    output = wait(made, training)
    version = output["version"].partition(":")[2]
    body = {"name": "mine", "model": made.given["destination"], "version": version,
            "hardware": "cpu", "min_instances": 0, "max_instances": 1}  # fmt: skip
    assert ask("POST", "/deployments", body).ok
    assert made.undo(external_id=training, output=output)["result"] == "kept"


@pytest.mark.parametrize(("status", "is_free"), [("failed", False), ("aborted", True)])
def test_a_training_that_fails_gives_the_reason(
    step: Claim, vendors: Vendors, status: str, is_free: bool
) -> None:
    vendors.change(replicate__training_seconds=0.1)
    fault = {"error": "out of memory", "as": status}
    vendors.fault("replicate", "trainings.create", "fail", **fault)
    made = train(step)
    training = TRAIN.begin(made)
    with pytest.raises(Permanent, match="out of memory") as caught:
        wait(made, training)
    assert caught.value.code == f"training_{status}"
    assert (made.cost == 0) == is_free
    assert made.undo(external_id=training)["result"] == "already"


def test_the_training_of_another_workflow_is_not_taken_for_a_lost_one(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(**TRAIN.held)
    TRAIN.begin(train(step))
    lost = train(step)
    vendors.fault("replicate", "trainings.create", "reset_before")
    with pytest.raises(Unknown):
        lost.run()
    intent = lost.open_intent()
    assert not isinstance(lost.look_up(), Found)
    lost.settle()
    TRAIN.begin(lost)
    assert vendors.count("trainings") == 2
    assert not isinstance(lost.look_up(intent), Found | Never)


def test_a_training_without_a_destination_is_refused(step: Claim, vendors: Vendors) -> None:
    made = train(step)
    made = replace(made, given={**made.given, "destination": f"{OWNER}/other"})
    with pytest.raises(Permanent, match="destination does not exist"):
        made.run()
    assert vendors.count("trainings") == 0
    assert DEPLOY.undone
