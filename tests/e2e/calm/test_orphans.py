"""Effects that nobody waits for: found by what the vendors tell, taken back at the vendors."""

from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from tests.chaos import books
from tests.e2e.campaign import Campaign, Customer
from tests.e2e.definitions import ended, register, started
from tests.e2e.orphans import doubled, is_compensated, orphans, taken_back
from tests.e2e.stack import Json, Stack, until

SWAP: Json = {
    "name": "one_swap",
    "do": {
        "sequence": [
            {
                "step": "render",
                "action": "replicate.predict",
                "with": {"source": {"$": "input.source"}, "target": {"$": "input.target"}},
            },
            {"step": "after", "action": "control.noop"},
        ]
    },
}


def test_a_doubled_prediction_is_cancelled_and_the_campaign_goes_on_with_its_own(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__hold=True)
    campaign = customer.start(1)
    campaign.until("its own prediction", campaign.in_status("waiting"))
    double = doubled(stack, campaign.id, "predictions.create")
    taken_back(campaign, "predictions_canceled", double)
    assert campaign.counts()["files_deleted"] == 0, "its own prediction reads them"
    stack.change(replicate__hold=False)
    campaign.ended("succeeded")
    counts = campaign.counts()
    assert (counts["predictions"], counts["predictions_succeeded"]) == (2, 1), campaign.dump()
    assert counts["predictions_canceled"] == 1
    assert orphans(campaign) == [("swap[0].render", double)]
    read = books.read(stack.journal())
    assert not [each for each in read.doubled() if each.startswith(campaign.id)]
    assert [each for each in read.found() if each.startswith(campaign.id)]


def test_a_prediction_that_tells_of_itself_while_its_step_is_unknown_is_adopted(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__list_lag_seconds=4, replicate__duration_seconds=8)
    stack.fault("replicate", "predictions.create", "lost_reply")
    campaign = customer.start(1)
    campaign.until("the doubt", campaign.in_status("unknown"))

    def has_told() -> list[Json]:
        return stack.rows(
            "SELECT effect_id FROM webhook_deliveries WHERE effect_workflow_id = %s"
            " AND platform = 'replicate' ORDER BY received_at",
            campaign.id,
        )

    told = until("the prediction to tell of itself", has_told, 20.0, campaign.dump)
    campaign.ended("succeeded")
    assert campaign.steps()["swap[0].render"]["external_id"] == told[0]["effect_id"]
    assert campaign.kinds("swap[0].render")[0] == "StepOutcomeUnknown", campaign.dump()
    counts = campaign.counts()
    assert (counts["predictions"], counts["predictions_canceled"]) == (1, 0), campaign.dump()
    assert orphans(campaign) == []


@pytest.mark.timeout(180)
def test_what_a_skipped_step_waited_for_is_cancelled(stack: Stack, customer: Customer) -> None:
    stack.change(replicate__hold=True)
    register(stack, SWAP)
    given: dict[str, Any] = {"source": customer.source, "target": customer.targets[0]}
    campaign = Campaign(stack, started(stack, "one_swap", given))
    steps = campaign.until("it to wait", lambda steps: steps["render"]["status"] == "waiting")
    body = {"step": "render", "reason": "the customer has changed their mind"}
    skipped = stack.api("POST", f"/v1/workflows/{campaign.id}/skip", json=body)
    assert skipped.status_code == HTTPStatus.ACCEPTED, skipped.text
    assert ended(stack, campaign.id)["status"] == "succeeded"
    prediction = steps["render"]["external_id"]
    taken_back(campaign, "predictions_canceled", prediction)
    campaign.until("it on record", partial(is_compensated, f"render~orphan[{prediction}]"))
    counts = campaign.counts()
    assert (counts["predictions_canceled"], counts["files_deleted"]) == (1, 2), campaign.dump()
