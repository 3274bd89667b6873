"""Calls that OpenAI refuses: which of them are never repeated, and which may have been paid for."""

import pytest

from app.errors import Permanent
from tests.contract.cases import Claim
from tests.contract.openai.cases import respond
from tests.contract.vendors import Vendors


def test_a_request_that_is_over_the_limit_of_a_minute_is_not_repeated(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(openai__tokens_per_minute=400)
    asked = respond(step)
    with pytest.raises(Permanent, match=r"lower `max_output_tokens`.*Limit 400, Request") as caught:
        asked.run()
    assert caught.value.code == "request_too_large"
    assert [each.resolution for each in asked.intents] == ["refused"]
    assert (vendors.count("captions"), asked.cost) == (0, 0)
