"""The cases of Replicate."""

import os
from dataclasses import replace
from typing import Any

import requests

from ops.sandbox.replicate.gallery import FACE_SWAP, HELLO_WORLD, OWNER, PORTRAIT, STYLE
from tasks.replicate.client import api
from tests.contract.cases import Call, Cases, Claim, Effect, Hook, sign_standard
from tests.contract.pictures import small, upload
from tests.contract.stage import Step

HELLO = {
    "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
    "input": {"text": "Alice"},
}
MINE = f"{OWNER}/mine"
SWAPS: list[dict[str, Any]] = [
    {"model": FACE_SWAP.full_name},
    {"model": f"{PORTRAIT.full_name}:{PORTRAIT.version}", "constants": {"upscale": 1}},
]
"""Two models that swap faces, whose inputs have other names and whose outputs have other shapes."""
DEPLOYMENT: dict[str, Any] = {
    "name": "fuzzed",
    "full_name": f"{OWNER}/fuzzed",
    "model": HELLO_WORLD.full_name,
    "version": HELLO_WORLD.version,
    "hardware": "cpu",
    "min_instances": 0,
    "max_instances": 1,
}


def predict(claim: Claim) -> Step:
    """A claimed step that swaps a face."""
    step = claim("replicate.predict", {})
    photos = {role: upload(step, small("astronaut.png")) for role in ("source", "target")}
    return replace(step, given=photos)


def predict_either(claim: Claim) -> Step:
    """A claimed step that swaps a face by one of two models."""
    step = predict(claim)
    return replace(step, given=step.given | {"models": SWAPS})


def train(claim: Claim) -> Step:
    """A claimed step that trains a model, whose destination exists."""
    new_model()
    given = {
        "model": f"{STYLE.full_name}:{STYLE.version}",
        "destination": MINE,
        "input": {"input_images": "https://a.example/pictures.zip", "steps": 10},
    }
    return claim("replicate.train", given)


def deploy(claim: Claim) -> Step:
    """A claimed step that makes a deployment."""
    given = {
        "name": "hello",
        "model": f"{HELLO_WORLD.full_name}:{HELLO_WORLD.version}",
        "hardware": "gpu-t4",
        "min_instances": 1,
        "max_instances": 2,
    }
    return claim("replicate.deploy", given)


def ask(method: str, path: str, body: object = None) -> requests.Response:
    """Ask Replicate beside our client."""
    headers = {"Authorization": f"Bearer {os.environ['REPLICATE_API_TOKEN']}"}
    url = f"{os.environ['REPLICATE_BASE_URL']}/v1{path}"
    return requests.request(method, url, json=body, headers=headers, timeout=10)


def new_model() -> None:
    """Create the model that trainings push to, unless it exists."""
    body = {"owner": OWNER, "name": "mine", "visibility": "private", "hardware": "cpu"}
    answer = ask("POST", "/models", body)
    assert answer.status_code in (201, 409), answer.text


PREDICT = Effect(
    "replicate.predict",
    predict,
    "predictions.create",
    "predictions",
    suspends=True,
    is_looked_up=True,
    undone="predictions_canceled",
    results=("canceled", "already"),
    lag="replicate__list_lag_seconds",
    held={"replicate__hold": True},
    reads="predictions.get",
    # Any picture costs alike: the time that the model runs.
    dearest=predict,
)
PREDICT_EITHER = replace(PREDICT, prepare=predict_either, dearest=predict_either)
TRAIN = Effect(
    "replicate.train",
    train,
    "trainings.create",
    "trainings",
    suspends=True,
    is_looked_up=True,
    undone="trainings_canceled",
    results=("canceled", "already"),
    lag="replicate__list_lag_seconds",
    held={"replicate__training_seconds": 7200.0},
    reads="trainings.get",
    dear={"replicate__training_seconds": 0.3},
    dearest=train,
)
DEPLOY = Effect(
    "replicate.deploy",
    deploy,
    "deployments.create",
    "model_deployments",
    is_looked_up=True,
    undone="model_deployments.deleted",
    results=("deleted", "already"),
    held={"replicate__unused_seconds": 0.0},
    dearest=deploy,
    # A deployment has a name, by which a later generation of the step finds it.
    is_single=True,
)
CASES = Cases(
    "replicate",
    Call(
        "predictions.create",
        lambda: api().create_prediction(HELLO),
        "REPLICATE_BASE_URL",
        "REPLICATE_API_TOKEN",
    ),
    Hook(
        sign_standard,
        lambda at: {"id": "prediction1", "status": "succeeded", "output": None},
        ("msg_1", "prediction1", "prediction.succeeded"),
    ),
    (PREDICT, PREDICT_EITHER, TRAIN, DEPLOY),
)
