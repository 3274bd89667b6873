"""Trainings: their statuses, and the versions that they make."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
import requests
from replicate.client import Client

from ops.sandbox.replicate.gallery import HELLO_WORLD, STYLE
from tests.sandbox.replicate.asking import HELLO, OWNER, advance, new_model, settled, train
from tests.sandbox.replicate.conftest import Plain
from tests.sandbox.running import Catcher, Sandbox, until

MINE = f"{OWNER}/mine"
PATH = f"/models/{STYLE.full_name}/versions/{STYLE.version}/trainings"
IMAGES = {"input_images": "https://a.example/a.zip"}


def test_a_training_takes_hours_and_makes_a_version_that_runs(
    sandbox: Sandbox, plain: Plain, replicate_client: Client, http: requests.Session
) -> None:
    sandbox.settings(replicate__training_seconds=7200)
    new_model(plain, "mine")
    assert plain.get(f"/models/{MINE}")["latest_version"] is None
    made = replicate_client.trainings.create(
        model=STYLE.full_name, version=STYLE.version, input=IMAGES, destination=MINE
    )
    assert made.status == "starting"
    running = settled(plain, {"urls": made.urls}, "processing")
    advance(sandbox, 7100)
    assert plain.get(running["urls"]["get"])["status"] == "processing"
    advance(sandbox, 100)
    ended = settled(plain, running)
    assert ended["status"] == "succeeded"
    assert ended["metrics"]["predict_time"] >= 7100
    name, _, version = ended["output"]["version"].partition(":")
    assert name == MINE
    assert plain.get(f"/models/{MINE}")["latest_version"]["id"] == version
    weights = http.get(ended["output"]["weights"], timeout=10).content
    with tarfile.open(fileobj=io.BytesIO(weights)) as archive:
        assert archive.getnames() == ["training.json"]
    body = {"version": ended["output"]["version"], "input": {"prompt": "red"}}
    assert plain.post("/predictions", body, Prefer="wait")["status"] == "succeeded"
    assert [each.id for each in replicate_client.trainings.list()] == [made.id]
    assert replicate_client.trainings.get(made.id).destination == MINE


def test_the_webhooks_of_a_training_tell_its_end(
    sandbox: Sandbox, plain: Plain, catcher: Catcher
) -> None:
    sandbox.settings(replicate__training_seconds=0.1)
    new_model(plain, "mine")
    train(plain, MINE, webhook=f"{catcher.url}/t", webhook_events_filter=["start", "completed"])
    until(lambda: len(catcher.events("/t")) == 2)
    told = {each["status"] for each in catcher.events("/t")}
    assert told == {"processing", "succeeded"}
    assert sandbox.books()["trainings_succeeded"] == 1


def test_a_training_is_cancelled_once(
    sandbox: Sandbox, plain: Plain, replicate_client: Client
) -> None:
    sandbox.settings(replicate__training_seconds=7200)
    new_model(plain, "mine")
    made = train(plain, MINE)
    settled(plain, made, "processing")
    for _ in range(2):
        assert replicate_client.trainings.cancel(made["id"]).status == "canceled"
    advance(sandbox, 7200)
    assert plain.get(made["urls"]["get"])["status"] == "canceled"
    counts = sandbox.books()
    assert (counts["trainings"], counts["trainings_canceled"]) == (1, 1)
    assert plain.get(f"/models/{MINE}/versions")["results"] == []


@pytest.mark.parametrize("as_", ["failed", "aborted"])
def test_a_training_that_fails_makes_no_version(sandbox: Sandbox, plain: Plain, as_: str) -> None:
    sandbox.settings(replicate__training_seconds=0)
    fault = {"kind": "fail", "error": "out of memory", "as": as_}
    sandbox.fault(vendor="replicate", operation="trainings.create", **fault)
    new_model(plain, "mine")
    ended = settled(plain, train(plain, MINE))
    assert (ended["status"], ended["error"]) == (as_, "out of memory")
    assert "output" not in ended
    assert plain.get(f"/models/{MINE}/versions")["results"] == []


def test_a_training_needs_a_model_to_push_to(sandbox: Sandbox, plain: Plain) -> None:
    body = {"destination": MINE, "input": IMAGES}
    problem = plain.refused("POST", PATH, body)
    # https://github.com/replicate/flux-fine-tuner/issues/72
    detail = "The specified training destination does not exist"
    assert (problem["status"], problem["detail"]) == (404, detail)
    body["destination"] = HELLO_WORLD.full_name
    assert plain.refused("POST", PATH, body)["detail"] == detail
    assert sandbox.books()["trainings"] == 0


def test_a_wrong_training_is_refused(plain: Plain) -> None:
    new_model(plain, "mine")
    body = {"destination": MINE, "input": IMAGES}
    changes: list[dict[str, Any]] = [
        {"input": {}}, {"input": IMAGES | {"steps": 0}}, {"webhook": "a"}, {"odd": 1},
    ]  # fmt: skip
    for change in changes:
        assert plain.refused("POST", PATH, body | change)["status"] == 422
    other = f"/models/{HELLO_WORLD.full_name}/versions/{HELLO}/trainings"
    assert plain.refused("POST", other, body)["status"] == 422
    elsewhere = f"/models/{HELLO_WORLD.full_name}/versions/{STYLE.version}/trainings"
    assert plain.refused("POST", elsewhere, body)["status"] == 404
