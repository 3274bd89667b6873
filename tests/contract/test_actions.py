"""What each action gives out, and how it fails, against the sandbox."""

import hashlib
import io
import json
import time
from dataclasses import replace

import pytest
import requests
from PIL import Image, ImageChops
from sqlalchemy import text
from uuid_utils.compat import uuid7

from app import db
from app.errors import Permanent, Unknown
from app.files import provenance
from app.outbound.http import exchange_scope
from app.platform import Found, Json
from tasks.replicate.client import api as replicate_api
from tasks.vercel.actions import find_deployment
from tasks.vercel.client import api as vercel_api
from tests.contract.effects import (
    AUTHORIZE,
    EFFECTS,
    Claim,
    authorize,
    caption,
    capture,
    deploy,
    notify,
    open_channel,
    predict,
    small,
    upload,
    wait,
)
from tests.contract.vendors import Vendors


def test_a_captured_payment_is_not_released_but_refunded(step: Claim, vendors: Vendors) -> None:
    held = authorize(step)
    payment_intent = held.run()["payment_intent"]
    taken = step("stripe.capture", {"payment_intent": payment_intent})
    receipt = taken.run()
    assert receipt["amount"] == AUTHORIZE["amount"]
    assert receipt["charge"].startswith("ch_")
    assert held.undo()["result"] == "superseded"
    assert taken.undo()["result"] == "refunded"
    assert (vendors.count("cancellations"), vendors.count("refunds")) == (0, 1)


def test_a_lost_refund_is_not_given_twice(step: Claim, vendors: Vendors) -> None:
    taken = capture(step)
    taken.run()
    vendors.fault("stripe", "refunds.create", "lost_reply")
    with pytest.raises(Unknown):
        taken.undo()
    assert taken.undo()["result"] == "already"
    assert vendors.count("refunds") == 1


def test_a_flagged_brief_is_refused_with_its_category(step: Claim) -> None:
    with pytest.raises(Permanent) as caught:
        step("openai.moderate", {"brief": "How to build a bomb"}).run()
    assert caught.value.code == "brief_refused"
    assert "violent" in caught.value.message


def test_a_caption_costs_what_its_tokens_cost(step: Claim) -> None:
    asked = caption(step)
    made = asked.run()
    assert made["caption"]
    assert asked.cost > 0
    assert made["tokens"] > 0


def test_a_swap_is_owned_with_its_hash_and_provenance(step: Claim, vendors: Vendors) -> None:
    prepared = predict(step)
    prediction = EFFECTS["replicate.predict"].begin(prepared)
    made = wait(prepared, prediction)
    kept = prepared.call().artifacts.read(made["picture"]["id"])
    assert made["sha256"] == hashlib.sha256(kept.data).hexdigest()
    assert made["vendor_sha256"] == made["picture"]["vendor_sha256"] != made["sha256"]
    assert provenance.DIGITAL_SOURCE_TYPE.encode() in kept.data
    assert prepared.cost > 0
    assert wait(prepared, prediction)["picture"]["id"] == made["picture"]["id"]
    with (
        Image.open(io.BytesIO(kept.data)) as ours,
        Image.open(io.BytesIO(small("astronaut.png"))) as target,
    ):
        assert ours.size == target.size
        assert ImageChops.difference(ours.convert("RGB"), target).getbbox() is not None


def test_undoing_a_swap_erases_our_copy_and_both_uploads(step: Claim, vendors: Vendors) -> None:
    prepared = predict(step)
    prediction = EFFECTS["replicate.predict"].begin(prepared)
    made = wait(prepared, prediction)
    undone = prepared.undo(external_id=prediction, output=made)
    assert (undone["result"], undone["erased"], undone["files_deleted"]) == ("discarded", 1, 2)
    assert vendors.count("files_deleted") == 2
    with pytest.raises(Permanent):
        prepared.call().artifacts.read(made["picture"]["id"])
    again = prepared.undo(external_id=prediction, output=made)
    assert (again["erased"], again["files_deleted"]) == (0, 0)


def test_a_doubled_swap_is_cancelled_and_the_files_stay_for_the_steps_own(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__hold=True)
    prepared = predict(step)
    own = EFFECTS["replicate.predict"].begin(prepared)
    request = next(each for each in prepared.intents if each.operation == "predictions.create")
    with exchange_scope(time.monotonic() + 5, []):
        double = replicate_api().create_prediction(request.request)["id"]
    for expected in ("canceled", "already"):
        taken = prepared.take_back(double, status="waiting")
        assert (taken["result"], taken["files_deleted"]) == (expected, 0)
    vendors.change(replicate__hold=False)
    assert wait(prepared, own)["prediction"] == own
    taken = prepared.take_back(double, status="succeeded")
    assert (taken["erased"], taken["files_deleted"]) == (0, 2)
    assert vendors.count("predictions_canceled") == 1


def test_a_doubled_deployment_is_removed_and_the_page_stays(step: Claim, vendors: Vendors) -> None:
    prepared = deploy(step)
    own = EFFECTS["vercel.deploy"].begin(prepared)
    (request,) = prepared.intents
    with exchange_scope(time.monotonic() + 5, []):
        double = vercel_api().create_deployment(request.request)["id"]
    results = [prepared.take_back(double, status="waiting")["result"] for _ in range(2)]
    assert results == ["removed", "already"]
    assert requests.get(wait(prepared, own)["url"], timeout=5).status_code == 200


def test_a_deployment_that_a_person_promoted_from_ours_is_not_taken_for_ours(
    step: Claim,
) -> None:
    prepared = deploy(step)
    own = EFFECTS["vercel.deploy"].begin(prepared)
    (intent,) = prepared.intents
    for mark in ({"action": "promote"}, {"originalDeploymentId": own}):
        copy = {**intent.request, "meta": {**intent.request["meta"], **mark}}
        with exchange_scope(time.monotonic() + 5, []):
            vercel_api().create_deployment(copy)
    with exchange_scope(time.monotonic() + 5, []):
        answer = find_deployment(prepared.call(None), intent)
    assert isinstance(answer, Found)
    assert answer.response["id"] == own


def test_a_photograph_without_a_face_fails_with_the_models_words(step: Claim) -> None:
    prepared = predict(step)
    blank = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(blank, "PNG")
    given = {**prepared.given, "target": upload(prepared, blank.getvalue())}
    prepared = replace(prepared, given=given)
    prediction = EFFECTS["replicate.predict"].begin(prepared)
    with pytest.raises(Permanent) as caught:
        wait(prepared, prediction)
    assert "face" in caught.value.message.lower()
    assert caught.value.code == "prediction_failed"


def test_a_result_that_was_removed_fails_for_good(step: Claim, vendors: Vendors) -> None:
    vendors.change(replicate__output_expiry_seconds=0.0)
    prepared = predict(step)
    prediction = EFFECTS["replicate.predict"].begin(prepared)
    deadline = time.monotonic() + 20
    while vendors.count("predictions_succeeded") == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)
    with pytest.raises(Permanent) as caught:
        wait(prepared, prediction)
    assert caught.value.code == "result_expired"


def test_an_upload_whose_reply_was_lost_is_found(step: Claim, vendors: Vendors) -> None:
    prepared = predict(step)
    vendors.fault("replicate", "files.create", "lost_reply")
    with pytest.raises(Exception, match="no complete answer"):
        prepared.run()
    assert vendors.count("files") == 1
    intent = prepared.intents[0]
    assert isinstance(prepared.look_up(intent), Found)
    assert vendors.count("files") == 1


def test_the_page_is_served_with_picture_and_caption(step: Claim, vendors: Vendors) -> None:
    prepared = deploy(step)
    deployment = EFFECTS["vercel.deploy"].begin(prepared)
    made = wait(prepared, deployment)
    url = made["url"].rstrip("/") + "/"
    html = requests.get(url, timeout=5)
    assert html.status_code == 200
    assert "A &lt;gallery&gt;" in html.text
    assert "Look &amp; see" in html.text
    shown = requests.get(url + "pictures/01.png", timeout=5)
    assert shown.content == small("astronaut.png")


def test_a_failed_build_is_permanent_and_still_removed(step: Claim, vendors: Vendors) -> None:
    vendors.fault("vercel", "deployments.create", "fail", error="out of memory")
    prepared = deploy(step)
    deployment = EFFECTS["vercel.deploy"].begin(prepared)
    with pytest.raises(Permanent) as caught:
        wait(prepared, deployment)
    assert "out of memory" in caught.value.message
    assert prepared.undo(external_id=deployment)["result"] == "removed"


def test_the_token_lets_in_until_the_channel_is_closed(step: Claim, vendors: Vendors) -> None:
    prepared = open_channel(step)
    opened = prepared.run()
    entry = {name: opened[name] for name in ("channel", "uid", "token")}
    address = vendors.urls["agora"] + "/sandbox/join"
    assert requests.post(address, json=entry, timeout=5).status_code == 200
    forged = {**entry, "channel": "another"}
    assert requests.post(address, json=forged, timeout=5).status_code == 403
    prepared.undo()
    assert requests.post(address, json=entry, timeout=5).status_code == 403


def deliver(reference: str, payload: Json) -> None:
    """Commit an answer of n8n as the web process does after it was verified."""
    with db.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)"
                " VALUES ('n8n', :id, :reference, 'execution', cast(:payload AS jsonb))"
            ),
            {"id": str(uuid7()), "reference": reference, "payload": json.dumps(payload)},
        )


def test_a_notification_ends_with_its_answer(step: Claim, vendors: Vendors) -> None:
    prepared = notify(step)
    reference = EFFECTS["n8n.notify"].begin(prepared)
    deliver(reference, {"reference": reference, "status": "success", "delivered_to": "ada"})
    made = prepared.run(reference)
    assert made["status"] == "success"
    assert made["answer"] == {"delivered_to": "ada"}
    assert vendors.count("notifications_repeated") == 0


def test_an_answer_that_says_error_is_permanent(step: Claim) -> None:
    prepared = notify(step)
    reference = EFFECTS["n8n.notify"].begin(prepared)
    deliver(reference, {"reference": reference, "status": "error", "error": "mail refused"})
    with pytest.raises(Permanent, match="mail refused"):
        prepared.run(reference)


@pytest.mark.parametrize("outcome", ["success", "error"])
def test_a_lost_answer_is_made_good_by_asking(outcome: str, step: Claim, vendors: Vendors) -> None:
    vendors.change(n8n__outcome=outcome)
    prepared = notify(step)
    reference = EFFECTS["n8n.notify"].begin(prepared)
    if outcome == "success":
        assert wait(prepared, reference)["status"] == "success"
    else:
        with pytest.raises(Permanent, match="error"):
            wait(prepared, reference)


def test_a_notification_sent_again_runs_once(step: Claim, vendors: Vendors) -> None:
    vendors.fault("n8n", "webhook.post", "lost_reply")
    prepared = notify(step)
    with pytest.raises(Exception, match="no complete answer"):
        prepared.run()
    EFFECTS["n8n.notify"].begin(prepared)
    assert (vendors.count("notifications"), vendors.count("notifications_repeated")) == (1, 1)


def test_captions_and_notifications_cannot_be_undone(step: Claim) -> None:
    assert notify(step).action.compensate is None
    assert caption(step).action.compensate is None
