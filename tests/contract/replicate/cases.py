"""The cases of Replicate."""

import os
from dataclasses import replace

import requests

from tasks.replicate.client import api
from tests.contract.cases import Call, Cases, Claim, Effect, Hook, sign_standard
from tests.contract.pictures import small, upload
from tests.contract.stage import Step

HELLO = {
    "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
    "input": {"text": "Alice"},
}


def predict(claim: Claim) -> Step:
    """A claimed step that swaps a face."""
    step = claim("replicate.predict", {})
    photos = {role: upload(step, small("astronaut.png")) for role in ("source", "target")}
    return replace(step, given=photos)


def ask(method: str, path: str, body: object = None) -> requests.Response:
    """Ask Replicate beside our client."""
    headers = {"Authorization": f"Bearer {os.environ['REPLICATE_API_TOKEN']}"}
    url = f"{os.environ['REPLICATE_BASE_URL']}/v1{path}"
    return requests.request(method, url, json=body, headers=headers, timeout=10)


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
    (PREDICT,),
)
