"""The webhooks of Replicate: their time stamp, and the step that a new prediction belongs to."""

from dataclasses import replace

import pytest

from app.errors import SignatureInvalid
from app.platform import Trace
from app.settings import Settings
from tests.contract.replicate.cases import CASES


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
