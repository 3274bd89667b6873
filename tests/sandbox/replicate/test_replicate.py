"""Replicate through Client."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.webhook import Webhooks, WebhookSigningSecret

from ops.sandbox.replicate import faceswap
from tests.sandbox.running import Catcher, Sandbox, until

HELLO = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
Photos = tuple[bytes, bytes]


def upload(client: Client, data: bytes, name: str) -> str:
    return client.files.create(io.BytesIO(data), filename=name, metadata={"by": "test"}).urls["get"]


def hello(client: Client, **more: Any) -> Any:
    return client.predictions.create(version=HELLO, input={"text": "Ada"}, **more)


def settle(prediction: Any) -> Any:
    def look() -> bool:
        prediction.reload()
        return prediction.status in ("succeeded", "failed", "canceled")

    until(look)
    return prediction


def test_uploaded_photographs_come_back_swapped(
    sandbox: Sandbox,
    replicate_client: Client,
    portraits: Photos,
    http: requests.Session,
) -> None:
    source, target = (upload(replicate_client, data, "p.png") for data in portraits)
    inputs = {"source_image": source, "target_image": target}
    version = sandbox.map["face_swap"]["version"]
    prediction = replicate_client.predictions.create(version=version, input=inputs)
    assert prediction.status == "starting"
    settle(prediction)
    assert (prediction.status, prediction.error) == ("succeeded", None)
    assert prediction.metrics is not None
    assert prediction.metrics["predict_time"] > 0
    made = http.get(str(prediction.output), timeout=10)
    assert made.headers["Content-Type"] == "image/png"
    result, before = (faceswap.decode(data, "x") for data in (made.content, portraits[1]))
    assert result.shape == before.shape
    assert 0 < np.any(result != before, axis=2).mean() < 0.25
    assert sandbox.books(f"?input={target}")["predictions"] == 1
    assert sandbox.books("?input=nowhere")["predictions"] == 0


def test_photograph_without_a_face_fails_with_the_reason(
    sandbox: Sandbox, replicate_client: Client, portraits: Photos
) -> None:
    plain = cv2.imencode(".png", np.full((99, 99, 3), 9, np.uint8))[1].tobytes()
    inputs = {
        "source_image": upload(replicate_client, portraits[0], "a.png"),
        "target_image": upload(replicate_client, plain, "b.png"),
    }
    version = sandbox.map["face_swap"]["version"]
    prediction = settle(replicate_client.predictions.create(version=version, input=inputs))
    assert (prediction.status, prediction.output) == ("failed", None)
    assert prediction.error == "No face detected in target_image"


def test_prefer_wait_answers_with_the_result_and_run_gives_it(
    replicate_client: Client,
) -> None:
    assert hello(replicate_client, wait=10).output == "hello Ada"
    made = replicate_client.run(f"replicate/hello-world:{HELLO}", input={"text": "Eve"})
    assert made == "hello Eve"


def test_webhooks_are_signed_filtered_and_sent_again_after_an_error(
    sandbox: Sandbox, replicate_client: Client, catcher: Catcher
) -> None:
    sandbox.settings(webhook__retry_seconds=0.05)
    catcher.statuses.append(503)
    hook = f"{catcher.url}/mine"
    prediction = hello(replicate_client, webhook=hook, webhook_events_filter=["completed"])
    until(lambda: len(catcher.got) == 2)
    assert catcher.got[0][1]["webhook-id"] == catcher.got[1][1]["webhook-id"]
    secret = replicate_client.webhooks.default.secret()
    assert isinstance(secret, WebhookSigningSecret)
    _, headers, raw = catcher.got[1]
    Webhooks.validate(headers=headers, body=raw.decode(), secret=secret, tolerance=60)
    body = json.loads(raw)
    assert (body["id"], body["status"]) == (prediction.id, "succeeded")
    assert "sandbox" not in body


@pytest.mark.parametrize(
    ("kind", "times"), [("drop_webhook", 0), ("double_webhook", 2), ("delay_webhook", 1)]
)
def test_planned_webhook_faults_happen(
    sandbox: Sandbox,
    replicate_client: Client,
    catcher: Catcher,
    kind: str,
    times: int,
) -> None:
    sandbox.fault(vendor="replicate", operation="completed", kind=kind, seconds=0.3)
    hook = f"{catcher.url}/mine"
    hello(replicate_client, webhook=hook, webhook_events_filter=["completed"], wait=10)

    def states() -> list[str]:
        deliveries = sandbox.control("GET", "/webhooks")["deliveries"]
        return [each["state"] for each in deliveries if each["url"] == hook]

    expected = ["sent"] * times or ["dropped"]
    until(lambda: states() == expected)
    assert len(catcher.got) == times


def test_cancelled_prediction_stays_cancelled(sandbox: Sandbox, replicate_client: Client) -> None:
    sandbox.settings(replicate__hold=True)
    prediction = hello(replicate_client)
    prediction.cancel()
    sandbox.settings(replicate__hold=False)
    assert settle(prediction).status == "canceled"
    counts = sandbox.books()
    assert (counts["predictions_canceled"], counts["predictions_succeeded"]) == (1, 0)


def test_hundreds_wait_without_a_thread_each_and_run_when_released(
    sandbox: Sandbox, replicate_client: Client, http: requests.Session
) -> None:
    sandbox.settings(replicate__hold=True, replicate__duration_seconds=0)
    for _ in range(150):
        hello(replicate_client)
    status = Path(f"/proc/{sandbox.process.pid}/status").read_text()
    assert int(status.split("Threads:")[1].split()[0]) < 60
    first = replicate_client.predictions.list()
    assert len(first.results) == 100
    assert first.next is not None
    assert len(replicate_client.predictions.list(first.next).results) == 50
    until(lambda: {each.status for each in replicate_client.predictions.list()} == {"processing"})
    assert sandbox.control("POST", "/replicate/release", {"count": 100})["released"] == 100
    until(lambda: sandbox.books()["predictions_succeeded"] == 100)


def test_a_list_is_of_the_time_that_is_asked_for_on_every_page(
    sandbox: Sandbox, replicate_client: Client, http: requests.Session
) -> None:
    sandbox.settings(replicate__hold=True)
    before = hello(replicate_client)
    made = [hello(replicate_client).id for _ in range(104)]
    after = hello(replicate_client)
    headers = {"Authorization": f"Bearer {sandbox.env('REPLICATE_API_TOKEN')}"}

    def at(prediction: str) -> str:
        url = f"{sandbox.map['vendors']['replicate']}/v1/predictions/{prediction}"
        return str(http.get(url, headers=headers, timeout=10).json()["created_at"])

    bounds = {"created_after": at(made[0]), "created_before": at(made[-1])}
    url = f"{sandbox.map['vendors']['replicate']}/v1/predictions"
    listed: list[str] = []
    pages = 0
    while url:
        page = http.get(url, headers=headers, params=bounds if not pages else {}, timeout=10).json()
        listed += [each["id"] for each in page["results"]]
        url, pages = page["next"], pages + 1
    assert pages == 2
    assert not {before.id, after.id} & set(listed)
    assert set(made[1:-1]) <= set(listed)
    bad = http.get(
        f"{sandbox.map['vendors']['replicate']}/v1/predictions",
        headers=headers,
        params={"created_before": "soon"},
        timeout=10,
    )
    assert bad.status_code == 400


def test_list_lags_while_get_does_not(sandbox: Sandbox, replicate_client: Client) -> None:
    sandbox.settings(replicate__list_lag_seconds=60)
    prediction = hello(replicate_client)
    assert replicate_client.predictions.list().results == []
    assert replicate_client.predictions.get(prediction.id).id == prediction.id


def test_result_and_data_are_removed_after_their_time(
    sandbox: Sandbox,
    replicate_client: Client,
    portraits: Photos,
    http: requests.Session,
) -> None:
    sandbox.settings(replicate__output_expiry_seconds=1.5)
    inputs = dict(
        zip(
            ("source_image", "target_image"),
            (upload(replicate_client, data, "p") for data in portraits),
            strict=True,
        )
    )
    version = sandbox.map["face_swap"]["version"]
    prediction = settle(replicate_client.predictions.create(version=version, input=inputs))
    address = str(prediction.output)
    assert http.get(address, timeout=10).status_code == 200
    until(lambda: http.get(address, timeout=10).status_code == 404)
    headers = {"Authorization": f"Bearer {sandbox.env('REPLICATE_API_TOKEN')}"}
    body = http.get(prediction.urls["get"], headers=headers, timeout=10).json()
    assert (body["data_removed"], body["output"], body["input"]) == (True, None, {})


def test_file_wants_the_token_and_is_gone_after_delete(
    sandbox: Sandbox, replicate_client: Client, http: requests.Session
) -> None:
    file = replicate_client.files.create(io.BytesIO(b"abc"), filename="a.txt", metadata={"n": 1})
    assert (file.size, file.metadata) == (3, {"n": 1})
    download = f"{file.urls['get']}/download"
    assert http.get(download, timeout=10).status_code == 401
    headers = {"Authorization": f"Bearer {sandbox.env('REPLICATE_API_TOKEN')}"}
    assert http.get(download, headers=headers, timeout=10).content == b"abc"
    replicate_client.files.delete(file.id)
    with pytest.raises(ReplicateError) as missing:
        replicate_client.files.get(file.id)
    assert missing.value.status == 404


def test_refusals_are_replicates(sandbox: Sandbox, replicate_client: Client) -> None:
    with pytest.raises(ReplicateError) as refused:
        replicate_client.predictions.create(version="0" * 64, input={})
    assert (refused.value.status, refused.value.title) == (422, "Invalid version or not permitted")
    with pytest.raises(ReplicateError) as refused:
        replicate_client.predictions.create(version=HELLO, input={})
    assert refused.value.title == "Input validation failed"
    wrong = Client(api_token="r8_wrong", base_url=sandbox.env("REPLICATE_BASE_URL"))
    with pytest.raises(ReplicateError) as refused:
        wrong.accounts.current()
    wrong._client.close()
    assert (refused.value.status, refused.value.title) == (401, "Unauthenticated")


def test_planned_failure_fails_the_prediction(sandbox: Sandbox, replicate_client: Client) -> None:
    sandbox.fault(vendor="replicate", operation="predictions.create", kind="fail", error="CUDA")
    assert settle(hello(replicate_client)).error == "CUDA"
    assert settle(hello(replicate_client)).status == "succeeded"
