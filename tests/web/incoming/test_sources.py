"""Webhooks from anybody: verified as their source says, taken once, and turned into events."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from app import db
from app.errors import SignatureInvalid
from chains.incoming.verification import verify
from tests.web.incoming.conftest import Sender, workflows

NOW = datetime(2026, 11, 29, tzinfo=UTC)
GITHUB = {"header": "X-Hub-Signature-256", "prefix": "sha256="}
STRIPE = {
    "header": "Stripe-Signature",
    "signed": "{timestamp}.{body}",
    "signature_key": "v1",
    "timestamp_key": "t",
}
SLACK = {
    "header": "X-Slack-Signature",
    "prefix": "v0=",
    "signed": "v0:{timestamp}:{body}",
    "timestamp_header": "X-Slack-Request-Timestamp",
    "tolerance_seconds": 300,
}
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
    b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def at(seconds: int) -> datetime:
    """A Unix time."""
    return datetime.fromtimestamp(seconds, UTC)


def test_the_published_examples_of_vendors_are_verified() -> None:
    github = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    verify(
        *("hmac", GITHUB, ["It's a Secret to Everybody"]),
        *({"x-hub-signature-256": github}, b"Hello, World!", NOW),
    )
    slack = {"x-slack-signature": SLACK_SIGNATURE, "x-slack-request-timestamp": "1531420618"}
    secret = "8f742231b10e8888abcd99yyyzzz85a5"
    verify("hmac", SLACK, ["other secret", secret], slack, SLACK_BODY, at(1531420618 + 299))
    with pytest.raises(SignatureInvalid, match="too old"):
        verify("hmac", SLACK, [secret], slack, SLACK_BODY, at(1531420618 + 301))
    standard = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,bm9ldHU= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    given = (["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], standard, b'{"test": 2432232314}')
    verify("standard_webhooks", None, *given, at(1614265330))


def stripe(body: bytes, secret: str, age: int = 0, **more: str) -> dict[str, str]:
    """The header of Stripe: an old signature, a wrong one, and the right one."""
    stamp = str(int(time.time()) - age)
    signed = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={'0' * 64},v1={signed},v0=6ffbb59b", **more}


def github(body: bytes, secret: str, **more: str) -> dict[str, str]:
    """The headers of GitHub."""
    signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    names = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78", **more}
    return {"X-Hub-Signature-256": f"sha256={signed}", **names}


def source(sender: Sender, name: str, **fields: Any) -> Any:
    """Create a source."""
    answer = sender.ask("POST", "/v1/event-sources", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def hook(sender: Sender, made: Any, body: bytes, headers: dict[str, str]) -> requests.Response:
    """Send a webhook to a source, as its sender does: without a key."""
    path = made["url"].partition("/hooks/")[2]
    return requests.post(f"{sender.url}/hooks/{path}", data=body, headers=headers, timeout=20)


def test_a_definition_starts_from_an_event_of_stripe(sender: Sender) -> None:
    made = source(
        *(sender, "stripe"),
        verification="hmac",
        hmac=STRIPE,
        secret="whsec_a_secret_that_stripe_made",
        id_expression="body.id",
        type_expression="body.type",
        type_prefix="stripe.",
    )
    sender.trigger(
        event_type="stripe.invoice.*",
        filter="event.data.data.object.amount_paid > `100`",
        input={"order": {"$": "event.data.data.object.metadata.order"}},
    )
    paid = {"object": {"amount_paid": 500, "metadata": {"order": 4711}}}
    body = json.dumps({"id": "evt_1", "type": "invoice.paid", "data": paid}, indent=1).encode()
    headers = stripe(body, made["secret"])
    assert hook(sender, made, body, headers).json() == {"received": True}
    assert hook(sender, made, body, headers).status_code == 200  # a replay
    assert hook(sender, made, body, stripe(body, made["secret"])).status_code == 200  # a retry
    assert sender.counts() == {"matched": 1, "started": 1}
    (item,) = sender.ask("GET", "/v1/events").json()["items"]
    assert (item["source"], item["source_id"]) == ("/hooks/stripe", "evt_1")
    assert item["type"] == "stripe.invoice.paid"
    workflow = sender.ask("GET", f"/v1/workflows/{item['matches'][0]['workflow_id']}").json()
    assert workflow["input"] == {"order": 4711}
    for wrong in (
        stripe(body, made["secret"], age=301),
        stripe(body, "another secret"),
        stripe(body + b" ", made["secret"]),
        {"Stripe-Signature": "v1=,t="},
        {"Stripe-Signature": "t=é,v1=é".encode().decode("latin-1")},
        {},
    ):
        answer = hook(sender, made, body, wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
        assert answer.json()["detail"] == "the webhook is not signed rightly"


def test_an_event_of_github_has_its_type_and_id_in_headers(sender: Sender) -> None:
    made = source(
        *(sender, "github"),
        verification="hmac",
        hmac=GITHUB,
        id_header="X-GitHub-Delivery",
        type_header="X-GitHub-Event",
        type_prefix="github.",
    )
    key = made["secret"]
    sender.trigger(event_type="github.push", input={"order": {"$": "event.data.number"}})
    body = b'{"number": 7, "text": "a\\u0000b", "huge": 1' + b"0" * 40 + b"}"
    for _ in range(2):
        assert hook(sender, made, body, github(body, key, Cookie="private")).status_code == 200
    (item,) = sender.ask("GET", "/v1/events").json()["items"]
    shown = sender.ask("GET", f"/v1/events/{item['id']}").json()
    assert (shown["source_id"], shown["type"]) == ("72d3162e-cc78", "github.push")
    assert (shown["matches"][0]["outcome"], shown["data"]["text"]) == ("started", "ab")
    kept = shown["attributes"]["headers"]
    assert kept["x-github-event"] == "push"
    assert not {"cookie", "x-hub-signature-256"} & kept.keys()
    bad = b"not JSON"
    assert hook(sender, made, bad, github(bad, key)).status_code == 422
    assert (
        hook(sender, made, body, github(body, key, **{"X-GitHub-Event": "a b"})).status_code == 422
    )
    assert hook(sender, made, b" " * 480_001, {}).status_code == 413
    assert workflows() == 1


def test_a_source_of_standard_webhooks_needs_no_further_settings(sender: Sender) -> None:
    made = source(sender, "shop", verification="standard_webhooks")
    assert "secret" not in sender.ask("GET", "/v1/event-sources/shop").json()
    body = json.dumps({"type": "order.paid", "order": 9}).encode()

    def signed(secret: str, id: str) -> dict[str, str]:
        stamp = str(int(time.time()))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.digest(key, f"{id}.{stamp}.".encode() + body, "sha256")
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature}

    assert hook(sender, made, body, signed(made["secret"], "m1")).status_code == 200
    rotated = sender.ask("POST", "/v1/event-sources/shop/rotate", json={}).json()
    assert rotated["former_secret_until"] is not None
    assert rotated["secret"] != made["secret"]
    for number, secret in enumerate((made["secret"], rotated["secret"])):
        assert hook(sender, made, body, signed(secret, f"r{number}")).status_code == 200
    at_once = {"former_hours": 0, "secret": "whsec_" + base64.b64encode(b"x" * 32).decode()}
    sender.ask("POST", "/v1/event-sources/shop/rotate", json=at_once)
    assert hook(sender, made, body, signed(rotated["secret"], "m2")).status_code == 401
    items = sender.ask("GET", "/v1/events").json()["items"]
    assert {item["source_id"] for item in items} == {"m1", "r0", "r1"}
    assert {item["type"] for item in items} == {"order.paid"}


def test_a_source_that_verifies_nothing_says_so_and_is_no_others(
    sender: Sender, other: Sender
) -> None:
    made = source(sender, "open", verification="none")
    assert made["secret"] is None
    for _ in range(2):
        assert hook(sender, made, b"[1]", {}).status_code == 200
    assert hook(sender, made, b"[2]", {}).status_code == 200
    items = sender.ask("GET", "/v1/events").json()["items"]
    assert [item["type"] for item in items] == ["open", "open"]
    assert all(item["source_id"].startswith("sha256:") for item in items)
    assert other.ask("GET", "/v1/event-sources/open").status_code == 404
    assert other.ask("GET", "/v1/event-sources").json()["items"] == []
    assert source(other, "open", verification="none")["url"] != made["url"]
    assert sender.ask("DELETE", "/v1/event-sources/open").status_code == 204
    assert hook(sender, made, b"[3]", {}).status_code == 404
    assert requests.post(f"{sender.url}/hooks/in/open", timeout=5).status_code == 404


WRONG: list[tuple[dict[str, Any], str, int]] = [
    ({}, "/verification", 422),
    ({"verification": "hmac"}, "/hmac", 422),
    ({"verification": "none", "hmac": GITHUB}, "/hmac", 422),
    ({"verification": "none", "secret": "x" * 20}, "/secret", 422),
    ({"verification": "hmac", "hmac": GITHUB, "secret": "short"}, "/secret", 422),
    ({"verification": "standard_webhooks", "secret": "whsec_" + "!" * 20}, "/secret", 422),
    ({"verification": "hmac", "hmac": {**GITHUB, "signed": "{time}{body}"}}, "/hmac/signed", 422),
    ({"verification": "hmac", "hmac": {**STRIPE, "timestamp_key": None}}, "/hmac/signed", 422),
    ({"verification": "hmac", "hmac": {**GITHUB, "timestamp_header": "T"}}, "/hmac/signed", 422),
    ({"verification": "none", "id_expression": "event.id"}, "/id_expression", 422),
    ({"verification": "none", "name": "taken"}, "", 409),
]


def test_a_source_that_cannot_work_is_refused_when_it_is_made(sender: Sender) -> None:
    made = source(sender, "taken", verification="hmac", hmac=GITHUB)
    for fields, pointer, status in WRONG:
        answer = sender.ask("POST", "/v1/event-sources", json={"name": "new", **fields})
        assert answer.status_code == status, answer.text
        if pointer:
            assert answer.json()["errors"][0]["pointer"] == pointer, answer.text
    path = "/v1/event-sources/taken"
    body = {"verification": "hmac", "hmac": STRIPE}
    changed = sender.ask("PUT", path, json=body).json()
    assert (changed["hmac"]["header"], changed["url"]) == ("Stripe-Signature", made["url"])
    assert sender.ask("PUT", path, json={"verification": "none"}).status_code == 409
    assert [each["name"] for each in sender.ask("GET", "/v1/event-sources").json()["items"]] == [
        "taken"
    ]
    assert db.row("SELECT count(*) AS number FROM event_sources", ()) == {"number": 1}
