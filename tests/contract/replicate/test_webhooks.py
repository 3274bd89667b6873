"""The webhooks of Replicate: their time stamp, and the step that a new prediction belongs to."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import pytest
from flask_openapi.openapi import OpenAPI

from app import db
from app.errors import SignatureInvalid
from app.keys import HOOK_STEP
from app.platform import Trace
from app.protocol.deliveries import reported_effects
from app.settings import Settings
from tasks.replicate.finding import hook_url
from tests.contract.cases import Claim
from tests.contract.replicate.cases import CASES
from tests.contract.vendors import Vendors
from web.bodies import StrictRequest
from web.hooks import hooks


@pytest.mark.parametrize("stamp", ["", "now", "1e400", "9" * 30, "-1"])
def test_a_time_stamp_must_be_a_unix_time(stamp: str, settings: Settings) -> None:
    headers, body = CASES.signed()
    with pytest.raises(SignatureInvalid):
        CASES.verify({**headers, "webhook-timestamp": stamp}, body)


def test_the_start_of_a_prediction_wakes_nobody_and_tells_whose_it_is(settings: Settings) -> None:
    given = {"target": "https://x/v1/files/f1", "source": "http://x/f2", "seed": 3, "note": "f3"}
    body = {"id": "p1", "status": "starting", "input": given}
    cases = replace(CASES, webhook=replace(CASES.hook, body=lambda at: body))
    delivery = cases.verify(*cases.signed())
    assert delivery.external_id is None
    assert delivery.trace == Trace("p1", addresses=("https://x/v1/files/f1", "http://x/f2"))


def test_the_files_in_lists_show_the_step_too(settings: Settings) -> None:
    given = {"images": ["https://x/f1", "note", 3], "image": "https://x/f2", "more": {"a": "b"}}
    body = {"id": "p1", "status": "succeeded", "input": given}
    cases = replace(CASES, webhook=replace(CASES.hook, body=lambda at: body))
    trace = cases.verify(*cases.signed()).trace
    assert trace is not None
    assert trace.addresses == ("https://x/f1", "https://x/f2")


def test_the_address_of_a_webhook_names_its_step(step: Claim, vendors: Vendors) -> None:
    prepared = step("replicate.predict", {"model": "a/b", "input": {}})
    app = OpenAPI("front")
    app.request_class = StrictRequest
    app.register_api(hooks)
    body = json.dumps({"id": "p1", "status": "processing", "input": {"prompt": "rain"}}).encode()
    url = urlsplit(hook_url(prepared.call()))
    headers = CASES.sign(body, datetime.now(UTC))
    answer = app.test_client().post(f"{url.path}?{url.query}", data=body, headers=headers)
    assert answer.json == {"received": True}
    told = reported_effects("replicate", prepared.claim.workflow_id, "step")
    assert told == ["p1"]


@pytest.mark.parametrize(
    "reference", ["", "x", "\0/a", "01890a5d-ac96-774b-bcce-b302099a8057/step"]
)
def test_an_address_that_names_no_step_changes_nothing(
    step: Claim, vendors: Vendors, reference: str
) -> None:
    step("replicate.predict", {"model": "a/b", "input": {}})
    app = OpenAPI("front")
    app.request_class = StrictRequest
    app.register_api(hooks)
    headers, body = CASES.signed(datetime.now(UTC))
    query = urlencode({HOOK_STEP: reference})
    answer = app.test_client().post(f"/hooks/replicate?{query}", data=body, headers=headers)
    assert answer.json == {"received": True}
    (row,) = db.rows("SELECT effect_id FROM webhook_deliveries", ())
    assert row["effect_id"] is None
