"""Whatever is sent to the receivers of webhooks and events is taken or refused, never a fault.

What was changed after it was signed is never taken. What is signed rightly, and odd, is stored with
each of its deliveries, or refused by a 4xx.
"""

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from flask.testing import FlaskClient

import tasks
from app import db
from app.identity import keys
from app.settings import current
from tests.contract.cases import Cases
from tests.contract.fuzz.mutations import damaged, mutated
from tests.integration.conftest import Kernel
from web import create_app

FEW, MANY = 60, 10_000
SEED = 15
PLATFORMS = [each.name for each in tasks.PLATFORMS if each.verify is not None]
Headers = dict[str, str]
DATA = {
    "id": 1,
    "object": {"a": [1, {"b": "c"}], "payment_intent": "pi_1"},
    "meta": {"reference": "r"},
}


@pytest.fixture
def web(kernel: Kernel) -> FlaskClient:
    """The web application on a database of the test's own, called without a socket."""
    client: FlaskClient = create_app(current()).test_client()
    return client


@pytest.fixture(autouse=True)
def brief(nothing_leaks: None, caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of requests are logged as briefly as in production."""
    caplog.set_level("ERROR")


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """The cases of the platform that the test's parameter names."""
    found: Cases = import_module(f"tests.contract.{request.param}.cases").CASES
    return found


@pytest.mark.parametrize("cases", PLATFORMS, indirect=True)
def test_a_mutated_webhook_is_taken_whole_or_refused(cases: Cases, web: FlaskClient) -> None:
    fuzz_hook(cases, web, FEW)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cases", PLATFORMS, indirect=True)
def test_many_mutated_webhooks_are_taken_whole_or_refused(cases: Cases, web: FlaskClient) -> None:
    fuzz_hook(cases, web, MANY)


def nested(levels: int) -> Any:
    """A list in a list in a list, so many times."""
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize("cases", PLATFORMS, indirect=True)
def test_a_webhook_that_cannot_be_stored_is_refused(cases: Cases, web: FlaskClient) -> None:
    now = datetime.now(UTC)
    odd = cases.hook.body(now) | {"more": nested(400)}
    body = json.dumps(odd).encode()
    answer = web.post(f"/hooks/{cases.platform}", data=body, headers=cases.sign(body, now))
    assert (answer.status_code, "nested too deeply" in answer.text) == (400, True)
    assert db.row("SELECT FROM webhook_deliveries", ()) is None


@pytest.mark.parametrize("name", ["id", "type", "object"])
@pytest.mark.parametrize("cases", ["stripe"], indirect=True)
def test_a_webhook_whose_ids_are_too_long_is_refused(
    cases: Cases, web: FlaskClient, name: str
) -> None:
    now, chance = datetime.now(UTC), random.Random(SEED)
    long = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
    odd = cases.hook.body(now)
    if name == "object":
        odd["data"] = {"object": {"id": long, "object": "payment_intent"}}
    else:
        odd[name] = long
    body = json.dumps(odd).encode()
    answer = web.post("/hooks/stripe", data=body, headers=cases.sign(body, now))
    assert (answer.status_code, "has over 1000 bytes" in answer.text) == (400, True)
    assert db.row("SELECT FROM webhook_deliveries", ()) is None


def fuzz_hook(cases: Cases, web: FlaskClient, count: int) -> None:
    """Send webhooks that were mutated before they were signed, and after it, in turn."""
    chance, faults, taken = random.Random(SEED), [], set()

    def send(body: bytes, headers: Headers) -> int:
        answer = web.post(f"/hooks/{cases.platform}", data=body, headers=headers)
        return answer.status_code

    for number in range(count):
        now = datetime.now(UTC)
        valid = cases.hook.body(now)
        whole = valid | {"data": {**DATA, **valid.get("data", {})}, "more": DATA}
        if number % 2:
            body = mutated(whole, chance)
            headers = cases.sign(body, now)
            status, expected = send(body, headers), (200, 400)
            if status == 200:
                taken.add(cases.descriptor.verify(headers, body, now).delivery_id)  # type: ignore[misc]
        else:
            body = json.dumps(whole).encode()
            headers = cases.sign(body, now)
            body, headers = _forged(body, headers, chance, cases)
            status, expected = send(body, headers), (400, 413)
        if status not in expected:
            faults.append(f"{number}: {status}: {headers}: {body[:400]!r} {len(body)}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:10])
    assert taken, "no mutated webhook was taken"
    rows = db.rows(
        "SELECT delivery_id FROM webhook_deliveries WHERE platform = %s", (cases.platform,)
    )
    assert {row["delivery_id"] for row in rows} == taken


def _forged(
    body: bytes, headers: Headers, chance: random.Random, cases: Cases
) -> tuple[bytes, Headers]:
    """A signed webhook whose body, time or id was changed after it, or with another signature."""
    kind, others = chance.random(), [n for n in headers if n != cases.hook.signature_header]
    if kind < 0.6:
        changed = body
        while changed == body:
            changed = damaged(body, chance) if kind < 0.3 else mutated(json.loads(body), chance)
        return changed, headers
    if kind < 0.75 and others:
        name = chance.choice(others)
        return body, {**headers, name: headers[name] + chance.choice(("0", "1", "a"))}
    if kind < 0.9:
        own = f"whsec_{base64.b64encode(chance.randbytes(24)).decode()}"
        return body, cases.hook.sign(body, datetime.now(UTC), own)
    odd = chance.choice(
        ("", "v1", "v1,", "t=1,v1=é", ",", "=" * 3_000, "sha256=", "v1=" + "0" * 64)
    )
    return body, {**headers, cases.hook.signature_header: odd.encode().decode("latin-1")}


SECRET = "whsec_" + base64.b64encode(b"a secret of the fuzz of sources").decode()


def _standard(body: bytes) -> Headers:
    stamp = str(int(time.time()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, f"msg_{stamp}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return {
        "webhook-id": f"msg_{stamp}",
        "webhook-timestamp": stamp,
        "webhook-signature": signature,
    }


def _hmac(body: bytes) -> Headers:
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={mac}"}


SOURCES: dict[str, tuple[dict[str, Any], Callable[[bytes], Headers]]] = {
    "standard": ({"verification": "standard_webhooks", "secret": SECRET}, _standard),
    "hmac": (
        {
            "verification": "hmac",
            "secret": SECRET,
            "hmac": {"header": "X-Hub-Signature-256", "prefix": "sha256="},
            "id_expression": "body.id",
            "type_expression": "body.type",
        },
        _hmac,
    ),
}
EVENT = {"id": "1", "type": "order.paid", "source": "shop", "data": DATA}


@pytest.mark.parametrize("name", SOURCES)
def test_a_mutated_webhook_of_a_source_is_taken_or_refused(web: FlaskClient, name: str) -> None:
    fuzz_source(web, name, FEW)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SOURCES)
def test_many_mutated_webhooks_of_a_source_are_taken_or_refused(
    web: FlaskClient, name: str
) -> None:
    fuzz_source(web, name, MANY)


def fuzz_source(web: FlaskClient, name: str, count: int) -> None:
    """Send webhooks to a source, mutated before they were signed, and after it, in turn."""
    settings, sign = SOURCES[name]
    _, key = keys.create_key("ada@example.com")
    bearer = {"Authorization": f"Bearer {key}"}
    made = web.post("/v1/event-sources", json={"name": name, **settings}, headers=bearer)
    assert made.json is not None
    assert made.status_code == 201, made.json
    path = "/hooks/" + made.json["url"].partition("/hooks/")[2]
    chance, faults = random.Random(SEED), []
    for number in range(count):
        body = mutated(EVENT, chance)
        headers = sign(body) | {"Content-Type": "application/json"}
        expected: tuple[int, ...] = (200, 400, 401, 413, 422)
        if number % 2 == 0:
            body, expected = damaged(body, chance) + b" ", (401,)
        status = web.post(path, data=body, headers=headers).status_code
        if status not in expected:
            faults.append(f"{number}: {status}: {body[:400]!r}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:10])


@pytest.mark.parametrize("form", ["application/json", "application/cloudevents+json", "binary"])
def test_a_mutated_event_is_taken_or_refused(web: FlaskClient, form: str) -> None:
    fuzz_events(web, form, FEW)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", ["application/json", "application/cloudevents+json", "binary"])
def test_many_mutated_events_are_taken_or_refused(web: FlaskClient, form: str) -> None:
    fuzz_events(web, form, MANY)


def fuzz_events(web: FlaskClient, form: str, count: int) -> None:
    """Send events whose bodies, or whose headers, are mutated; each that is taken is there."""
    _, key = keys.create_key("ada@example.com")
    bearer = {"Authorization": f"Bearer {key}"}
    chance, faults, accepted = random.Random(SEED), [], 0
    for number in range(count):
        headers = bearer | {"Content-Type": form}
        body = mutated(EVENT | {"specversion": "1.0"} if "cloud" in form else EVENT, chance)
        if form == "binary":
            attributes = {
                "id": str(number),
                "type": "order.paid",
                "source": "shop",
                "specversion": "1.0",
            }
            name = chance.choice((*attributes, "subject", "time", "odd"))
            odd = damaged(b"order.paid", chance).decode("latin-1")
            attributes[name] = "".join(each for each in odd if each not in "\r\n\0")[:3_000]
            headers |= {f"ce-{each}": value for each, value in attributes.items()}
            headers["Content-Type"] = chance.choice(("application/json", "text/plain", "x", ""))
        answer = web.post("/v1/events", data=body, headers=headers)
        if answer.status_code == 202:
            assert answer.json is not None
            accepted += answer.json["accepted"]
        elif answer.status_code not in (400, 413, 415, 422):
            faults.append(f"{number}: {answer.status_code}: {headers} {body[:400]!r}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:10])
    row = db.row("SELECT count(*) AS number FROM incoming_events", ())
    assert row is not None
    assert (row["number"], accepted > 0) == (accepted, True)
