"""The process: its description, its control API, its ports, its end, and state that survives."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import requests
import stripe
from replicate.client import Client

from ops.sandbox.credentials import Credentials
from tests.sandbox.replicate.test_replicate import HELLO
from tests.sandbox.running import ROOT, Catcher, Sandbox, free_base_port, until
from tests.sandbox.stripe.test_stripe import authorize


def test_state_and_work_under_way_survive_kill_9(tmp_path: Path, catcher: Catcher) -> None:
    catcher.got.clear()
    sandbox = Sandbox(tmp_path / "state", free_base_port(), catcher.url)
    sandbox.start()
    client = stripe.StripeClient(
        sandbox.env("STRIPE_API_KEY"),
        base_addresses={"api": sandbox.env("STRIPE_BASE_URL")},
        http_client=stripe.RequestsClient(timeout=10),
    )
    intent = authorize(client, "before")
    runner = Client(
        api_token=sandbox.env("REPLICATE_API_TOKEN"), base_url=sandbox.env("REPLICATE_BASE_URL")
    )
    sandbox.settings(replicate__duration_seconds=0.5)
    hook = f"{catcher.url}/mine"
    prediction = runner.predictions.create(
        version=HELLO, input={"text": "x"}, webhook=hook, webhook_events_filter=["completed"]
    )
    sandbox.fault(vendor="stripe", operation="payment_intents.cancel", kind="lost_reply")
    keys = dict(sandbox.map["env"])
    sandbox.kill()
    sandbox.start()
    assert sandbox.map["env"] == keys
    assert keys["STRIPE_API_KEY"] != Credentials.from_seed(0).STRIPE_API_KEY
    assert (sandbox.state / "seed").stat().st_mode & 0o077 == 0
    assert authorize(client, "before").id == intent.id
    assert sandbox.books()["authorizations"] == 1
    assert len(sandbox.control("GET", "/faults")["faults"]) == 1
    until(lambda: catcher.events("/mine"))
    assert runner.predictions.get(prediction.id).output == "hello x"
    runner._client.close()
    assert sandbox.stop() < 2
    assert sandbox.process.returncode == 0


def test_port_that_is_taken_is_named_with_exit_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "ops.sandbox", "--base-port", str(port)]
        command += ["--state", str(tmp_path)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert str(port) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_wrong_settings_and_faults_are_refused_with_a_reason(
    sandbox: Sandbox, http: requests.Session
) -> None:
    base = sandbox.map["vendors"]["control"]
    http.headers.update(sandbox.key)
    wrong = http.put(f"{base}/settings", json={"stripe.colour": 1}, timeout=10)
    assert (wrong.status_code, "stripe.colour" in wrong.text) == (400, True)
    wrong = http.post(f"{base}/faults", json={"vendor": "stripe", "kind": "flood"}, timeout=10)
    assert (wrong.status_code, "kind must be one of" in wrong.text) == (400, True)


def test_control_api_answers_nobody_without_its_key(
    sandbox: Sandbox, http: requests.Session
) -> None:
    base = sandbox.map["vendors"]["control"]
    paths: dict[str, tuple[str, ...]] = {
        "GET": ("/", "/settings", "/faults", "/books", "/journal", "/webhooks"),
        "POST": ("/faults", "/reset", "/replicate/release"),
        "PUT": ("/settings",),
    }
    for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        for method, path in [(each, path) for each in paths for path in paths[each]]:
            answer = http.request(method, base + path, json={}, headers=sent, timeout=10)
            assert answer.status_code == 401, (method, path)
            assert not any(value in answer.text for value in sandbox.map["env"].values())
    assert http.get(f"{base}/healthz", timeout=10).json() == {"status": "ok"}
    assert http.get(f"{base}/", headers=sandbox.key, timeout=10).json()["env"] == sandbox.map["env"]


def test_journal_tells_effects_in_order_after_a_number(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    start = sandbox.control("GET", "/journal")["last"]
    intent = authorize(stripe_client, "k")
    stripe_client.v1.payment_intents.cancel(intent.id)
    entries = sandbox.control("GET", f"/journal?after={start}")["entries"]
    assert [each["effect"] for each in entries] == [
        "payment_intents", "authorizations", "cancellations",
    ]  # fmt: skip
    assert {each["object_id"] for each in entries} == {intent.id}
    assert entries[1]["key"] == "k"


def test_fault_that_matches_one_workflow_spares_the_others(
    sandbox: Sandbox, stripe_client: stripe.StripeClient
) -> None:
    sandbox.fault(vendor="stripe", operation="*", kind="reset_before", match="w-9", count=-1)
    assert authorize(stripe_client).status == "requires_capture"
    try:
        authorize(stripe_client, metadata={"workflow": "w-9"})
    except stripe.APIConnectionError:
        pass
    else:
        raise AssertionError("the fault did not act")
