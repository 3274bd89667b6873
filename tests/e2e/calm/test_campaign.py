"""A campaign on a good day: what it costs, what it leaves, what can be seen of it."""

import hashlib
import re
from collections import Counter
from io import BytesIO
from urllib.parse import urljoin
from uuid import UUID

import pytest
from PIL import Image

from app.files.provenance import DIGITAL_SOURCE_TYPE
from tests.e2e.campaign import Campaign, Customer
from tests.e2e.instance import received_events
from tests.e2e.stack import Json, Stack, are_told, until
from tests.photographs import told

PHOTOGRAPHS = 3
VENDORS_OPERATIONS = {
    # effect in the books: (platform, action) in platform_logs
    "authorizations": ("stripe", "payment_intents.create"),
    "captures": ("stripe", "payment_intents.capture"),
    "moderations": ("openai", "moderations.create"),
    "captions": ("openai", "chat.completions.create"),
    "predictions": ("replicate", "predictions.create"),
    "deployments": ("vercel", "deployments.create"),
    "notifications": ("n8n", "webhooks.trigger"),
}


@pytest.fixture(scope="module")
def finished(instance: Stack, regular: Customer) -> Campaign:
    """A campaign of three photographs that succeeded."""
    instance.calm()
    campaign = regular.start(PHOTOGRAPHS)
    campaign.ended("succeeded")
    return campaign


def test_a_campaign_pays_publishes_and_notifies_exactly_once(finished: Campaign) -> None:
    counts = finished.counts()
    wanted = {
        "authorizations": 1, "captures": 1, "predictions": PHOTOGRAPHS, "deployments": 1,
        "notifications": 1,
    }  # fmt: skip
    assert {name: counts[name] for name in wanted} == wanted, finished.dump()
    undone = ("refunds", "cancellations", "predictions_canceled", "removals", "kicking_rules")
    assert [counts[name] for name in undone] == [0] * len(undone)


def test_the_published_page_shows_the_caption_and_its_pictures(
    stack: Stack, finished: Campaign
) -> None:
    output = finished.detail()["output"]
    page = stack.get(output["page"])
    assert page.status_code == 200
    assert output["caption"] in page.text
    shown = re.findall(r'<img[^>]*src="([^"]+)"', page.text)
    assert len(shown) == PHOTOGRAPHS
    for address in shown:
        picture = stack.get(urljoin(page.url, address))
        assert picture.status_code == 200
        # Our mark is all that a picture tells; the sandbox's model writes its inputs into it.
        assert set(told(picture.content)) == {"xmp", "text XML:com.adobe.xmp"}


def test_the_pictures_are_ours_and_say_how_they_were_made(stack: Stack, finished: Campaign) -> None:
    pictures = finished.detail()["output"]["pictures"]
    assert len(pictures) == PHOTOGRAPHS
    for picture in pictures:
        content = stack.get(picture["url"]).content
        assert hashlib.sha256(content).hexdigest() == picture["sha256"]
        assert picture["vendor_sha256"] not in (None, picture["sha256"])
        with Image.open(BytesIO(content)) as image:
            assert image.format == "PNG"
            assert DIGITAL_SOURCE_TYPE in str(image.info["XML:com.adobe.xmp"])
        by_key = stack.api("GET", f"/v1/artifacts/{picture['id']}", headers={"Accept": "*/*"})
        assert by_key.content == content


def test_receipt_and_channel_hold_at_their_vendors(stack: Stack, finished: Campaign) -> None:
    output = finished.detail()["output"]
    receipt, channel = output["receipt"], output["channel"]
    assert (receipt["amount"], receipt["currency"]) == (4900, "eur")
    (capture,) = [each for each in finished.effects() if each["effect"] == "captures"]
    assert capture["object_id"] == receipt["payment_intent"]
    agora = stack.control("GET", "/")["vendors"]["agora"]
    door = {"token": channel["token"], "channel": channel["channel"], "uid": channel["uid"]}
    let_in = stack.post(f"{agora}/sandbox/join", door)
    assert (let_in.status_code, let_in.json()["result"]) == (200, "joined")
    other = stack.post(f"{agora}/sandbox/join", door | {"channel": "another"})
    assert other.status_code == 403


def test_the_hash_chain_of_its_events_verifies(stack: Stack, finished: Campaign) -> None:
    rows = stack.rows(
        "SELECT seq, body, hash FROM events WHERE workflow_id = %s ORDER BY seq", finished.id
    )
    previous = hashlib.sha256(UUID(finished.id).bytes).digest()
    for seq, row in enumerate(rows, start=1):
        previous = hashlib.sha256(previous + row["body"].encode()).digest()
        assert (row["seq"], bytes(row["hash"])) == (seq, previous)
    listed = stack.api("GET", f"/v1/workflows/{finished.id}/events").json()
    assert listed["is_complete"]
    assert [event["type"] for event in listed["items"]] == [
        event["type"] for event in finished.events()
    ]
    assert (listed["items"][0]["type"], listed["items"][-1]["type"]) == (
        "WorkflowStarted",
        "WorkflowSucceeded",
    )


def test_every_call_of_a_vendor_is_logged(stack: Stack, finished: Campaign) -> None:
    rows = stack.rows(
        "SELECT platform, action, status, response_time FROM platform_logs WHERE workflow_id = %s",
        finished.id,
    )
    logged = Counter((row["platform"], row["action"]) for row in rows)
    counts = finished.counts()
    for effect, call in VENDORS_OPERATIONS.items():
        if effect in ("moderations", "captions"):  # their requests do not name the workflow
            assert logged[call] == 1, logged
        else:
            assert logged[call] == counts[effect], logged
    failed = [row for row in rows if row["response_time"] < 0 or row["status"][0] not in "23"]
    assert failed == []


def test_every_step_is_told_to_celerys_receivers_also_hand_to_hand(
    stack: Stack, task_events: list[Json], customer: Customer
) -> None:
    # One wake, by a poll: each further message of a recorded step would be told as a success too.
    stack.fault("vercel", "*", "drop_webhook", count=-1)
    campaign = customer.start(2)
    campaign.ended("succeeded")
    assert are_told(stack, campaign.id, task_events)


def test_workers_send_no_task_events_if_no_receiver_asks_for_them(stack: Stack) -> None:
    def ended() -> None:
        started = stack.api("POST", "/v1/workflows", json={"type": "noop_chain", "input": {}})
        path = f"/v1/workflows/{started.json()['id']}"
        until("the chain", lambda: stack.api("GET", path).json()["status"] == "succeeded", 20.0)

    def kinds(got: list[Json]) -> set[str]:
        return {event["type"] for event in list(got)}

    with received_events(stack, are_wanted=False) as got:
        ended()
        # The worker's own events go on: Flower shows a worker without heartbeats as dead.
        until("a heartbeat", lambda: "worker-heartbeat" in kinds(got), 10.0)
        assert not {kind for kind in kinds(got) if kind.startswith("task-")}
    with received_events(stack) as got:
        ended()
        until("the chain's events", lambda: "task-succeeded" in kinds(got), 10.0)
