"""What platforms send with the number of a payment card in it is stored with its last digits only.

After each test the whole database and the log are searched for the number (tests/canaries.py).
"""

import json
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY

import tasks
from app import db
from app.cards import MASK
from app.errors import Permanent
from app.identity import keys
from app.settings import Settings, current
from tasks.http import client
from tests.canaries import CARDS
from tests.contract.cases import Cases
from tests.contract.http.cases import SECRET, by_reference, jobs, posting
from tests.contract.n8n.cases import CASES as N8N
from tests.contract.reuse.asking import caption, ended
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.integration.driving import ended as driven
from tests.unit.definitions import fail
from web import create_app

PLATFORMS = [each.name for each in tasks.PLATFORMS if each.verify is not None]
SAID = f"card {CARDS[1]}, thanks"
KEPT = f"card {MASK.format('4242')}, thanks"
LONG = "x" * 100_000
Json = dict[str, Any]


@pytest.fixture
def web(kernel: Kernel) -> FlaskClient:
    """The web application on a database of the test's own, called without a socket."""
    client: FlaskClient = create_app(current()).test_client()
    return client


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """The cases of the platform that the test's parameter names."""
    found: Cases = import_module(f"tests.contract.{request.param}.cases").CASES
    return found


def masked(place: str) -> float:
    """How many values of a place were masked so far."""
    name, labels = "playalter_card_numbers_masked_total", {"place": place}
    return REGISTRY.get_sample_value(name, labels) or 0.0


def send(web: FlaskClient, cases: Cases, body: Json) -> int:
    """Send a signed webhook; the status of the answer."""
    data = json.dumps(body).encode()
    headers = cases.sign(data, datetime.now(UTC))
    return web.post(f"/hooks/{cases.platform}", data=data, headers=headers).status_code


@pytest.mark.parametrize("cases", PLATFORMS, indirect=True)
def test_a_webhook_is_stored_without_the_number_and_once(
    cases: Cases, web: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    before, body = masked(f"webhook of {cases.platform}"), cases.hook.body(datetime.now(UTC))
    paid = {"description": SAID, "card": {"number": int(CARDS[0])}, CARDS[2]: 1, "id": CARDS[0][1:]}
    odd = body | {"more": [paid], "long": LONG}
    assert [send(web, cases, odd) for _ in range(2)] == [200, 200]
    (row,) = db.rows("SELECT delivery_id, external_id, kind, payload FROM webhook_deliveries", ())
    assert (row["delivery_id"], row["external_id"], row["kind"]) == cases.hook.expected
    number = MASK.format("4242")
    kept = {"description": KEPT, "card": {"number": number}, number: 1, "id": CARDS[0][1:]}
    assert row["payload"] == odd | {"more": [kept]}
    assert masked(f"webhook of {cases.platform}") == before + 2
    assert capsys.readouterr().out.count("card_number.masked") == 2


@pytest.mark.parametrize("name", ["id", "type"])
def test_a_webhook_whose_id_is_a_card_number_is_refused(web: FlaskClient, name: str) -> None:
    cases: Cases = import_module("tests.contract.stripe.cases").CASES
    body = cases.hook.body(datetime.now(UTC)) | {name: CARDS[1]}
    assert send(web, cases, body) == 400
    assert db.row("SELECT FROM webhook_deliveries", ()) is None


def test_a_text_of_openai_is_recorded_without_the_number(kernel: Kernel, vendors: Vendors) -> None:
    vendors.change(openai__written=SAID)
    before = masked("answer of openai")
    workflow = ended(kernel, caption(cache=False))
    assert kernel.step(workflow, "write")["output"]["caption"] == KEPT
    assert KEPT in json.dumps(recorded(workflow))
    assert masked("answer of openai") == before + 1


def recorded(workflow: UUID) -> list[Json]:
    """The responses of the workflow's calls."""
    rows = db.rows("SELECT response FROM intents WHERE workflow_id = %s", (workflow,))
    return [row["response"] for row in rows]


@pytest.mark.parametrize("status", ["success", "error"])
def test_an_answer_of_n8n_is_recorded_without_the_number(
    kernel: Kernel, vendors: Vendors, web: FlaskClient, status: str
) -> None:
    vendors.change(n8n__outcome="silent")
    asked = {"step": "tell", "action": "n8n.notify", "with": {"event": "paid", "data": {}}}
    workflow = kernel.start(kernel.register(asked))
    drive()
    told = {"reference": kernel.step(workflow, "tell")["external_id"], "status": status}
    assert send(web, N8N, told | {"error": SAID}) == 200
    drive()
    made = kernel.step(workflow, "tell")
    if status == "success":
        assert made["output"]["answer"] == {"error": KEPT}
    else:
        assert made["error"]["message"] == f"the n8n workflow failed: {KEPT}"


@pytest.mark.parametrize("is_lost", [False, True], ids=["answered", "looked up"])
def test_an_answer_over_http_is_recorded_without_the_number(
    kernel: Kernel, vendors: Vendors, is_lost: bool
) -> None:
    vendors.change(http__note=SAID)
    if is_lost:
        vendors.fault("http", "jobs.create", "lost_reply")
    workflow = ended(kernel, job())
    assert kernel.step(workflow, "job")["status"] == "succeeded"
    (response,) = recorded(workflow)
    assert KEPT in json.dumps(response)
    assert KEPT in json.dumps(kernel.step(workflow, "job")["output"])


def job() -> Json:
    """A step that makes a job, which can be looked up."""
    given = posting(effect="lookup", lookup=by_reference())
    return {"step": "job", "action": "http.request", "with": given}


def test_a_webhook_of_anybody_is_stored_without_the_number(web: FlaskClient) -> None:
    _, key = keys.create_key("root@example.com", is_admin=True)
    bearer = {"Authorization": f"Bearer {key}"}
    source = {"name": "shop", "verification": "none", "type_expression": "body.type"}
    made = web.post("/v1/event-sources", json=source, headers=bearer)
    assert made.status_code == 201, made.text
    address = made.json["url"].removeprefix(current().public_base_url)  # type: ignore[index]
    assert web.post(address, json={"type": "paid", "note": SAID}).status_code == 200
    (row,) = db.rows("SELECT data FROM incoming_events", ())
    assert row["data"] == {"type": "paid", "note": KEPT}
    assert web.post(address, json={"type": f"visa:{CARDS[0]}"}).status_code == 422


GROUPED = " ".join(CARDS[0][at : at + 4] for at in range(0, 16, 4))
NOTE = {"$": "steps.job.output.json.note"}
BY_ID = {"$": "join('/', [input.jobs, steps.job.output.json.note])"}
ALL = {"$": "input.jobs"}


def acting(action: str, **given: Any) -> Json:
    """A step after `job`."""
    return {"step": "next", "action": action, "with": given}


@pytest.mark.parametrize(
    ("node", "place"),
    [
        (acting("http.request", url=BY_ID, secrets=SECRET), "/url"),
        (
            acting("http.request", url=ALL, query={"card": NOTE}, secrets=SECRET),
            "/query/card",
        ),
        (acting("n8n.notify", event="paid", data={"orders": [{"orderId": NOTE}]}), "/data/orders/"),
        (acting("stripe.read_dispute", dispute=NOTE), "/dispute"),
    ],
)
def test_no_platform_is_asked_about_a_masked_id(
    kernel: Kernel, vendors: Vendors, node: Json, place: str
) -> None:
    vendors.change(http__note=GROUPED)
    row = driven(kernel, {"sequence": [job(), node]}, {"jobs": jobs()})
    assert row["error"]["code"] == "card_number_masked", row["error"]
    assert f"input {place}" in row["error"]["message"]
    made = kernel.step(row["id"], "next")
    calls = db.rows("SELECT FROM platform_logs WHERE workflow_id = %s", (row["id"],))
    assert (made["status"], len(calls)) == ("failed", 1)


def test_a_text_with_a_masked_number_is_passed_on(kernel: Kernel, vendors: Vendors) -> None:
    vendors.change(http__note=GROUPED, n8n__outcome="silent")
    data = {
        "note": NOTE,
        "caption": {"$": "join(' ', ['see https://a.example', steps.job.output.json.note])"},
        "card": NOTE,
    }
    node = {"sequence": [job(), acting("n8n.notify", event="paid", data=data)]}
    row = driven(kernel, node, {})
    assert kernel.step(row["id"], "next")["status"] == "waiting"
    sent = db.rows("SELECT request FROM intents WHERE step_key = 'next'", ())
    assert str(sent).count(MASK.format("4242")) == 3


def test_no_request_is_sent_to_a_masked_address(settings: Settings, vendors: Vendors) -> None:
    mask = MASK.format("4242")
    for url in (f"{jobs()}/{mask}", f"{jobs()}/{quote(mask)}"):
        with pytest.raises(Permanent) as caught:
            client.read({"method": "GET", "url": url, "secrets": SECRET, "expect": [404]})
        assert caught.value.code == "card_number_masked"


def test_an_undo_that_would_look_for_a_masked_id_is_left_to_a_person(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.change(http__note=GROUPED)
    # The service does not know the masked id, which looks as if the job were gone.
    undo = {"method": "DELETE", "effect": "repeatable", "expect": [204, 404], "secrets": SECRET}
    made = job() | {"compensation": {"action": "http.request", "with": {"url": BY_ID, **undo}}}
    row = driven(kernel, {"sequence": [made, fail("end")]}, {"jobs": jobs()})
    undone = kernel.step(row["id"], "job~undo")
    assert (undone["status"], undone["error"]["code"]) == ("failed", "card_number_masked")
    assert "by hand" in undone["error"]["message"]
    assert (row["status"], row["attention"]) == ("compensating", "compensation_failed")
