"""Effects that nobody waits for: found by what the vendors tell, taken back at the vendors."""

from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
import requests

from tests.chaos import books
from tests.e2e.campaign import Campaign, Customer
from tests.e2e.stack import Json, Stack, until
from tests.e2e.test_definitions import ended, register, started

ADDRESSES = {
    "predictions.create": ("REPLICATE_BASE_URL", "/v1/predictions", "REPLICATE_API_TOKEN"),
    "deployments.create": ("VERCEL_BASE_URL", "/v13/deployments", "VERCEL_TOKEN"),
}
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


def doubled(stack: Stack, workflow: str, operation: str) -> str:
    """Make a recorded call of a workflow once more, as a fault of the network would; its id."""
    (row,) = stack.rows(
        "SELECT request FROM intents WHERE workflow_id = %s AND operation = %s", workflow, operation
    )
    base, path, token = ADDRESSES[operation]
    vendors = stack.profile.vendors()
    headers = {"Authorization": f"Bearer {vendors[token]}"}
    made = requests.post(vendors[base] + path, json=row["request"], headers=headers, timeout=8)
    assert made.ok, made.text
    return str(made.json()["id"])


def taken_back(campaign: Campaign, effect: str, object_id: str) -> None:
    """Wait until the vendor's books say so."""

    def look() -> bool:
        return any(
            (entry["effect"], entry["object_id"]) == (effect, object_id)
            for entry in campaign.stack.journal()
        )

    until(f"{effect} of {object_id}", look, 30.0, campaign.dump)


def orphans(campaign: Campaign) -> list[tuple[str, str]]:
    """(step, external id) of what was found."""
    return [
        (event["step"], event["data"]["external_id"])
        for event in campaign.events()
        if event["type"] == "OrphanFound"
    ]


def is_compensated(orphan: str, steps: Json) -> bool:
    return orphan in steps and bool(steps[orphan]["status"] == "compensated")


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


@pytest.mark.timeout(180)
def test_a_page_that_is_published_again_after_the_end_is_removed_whoever_dies_meanwhile(
    stack: Stack, customer: Customer
) -> None:
    campaign = customer.start(1)
    campaign.ended("succeeded")
    held = stack.fault("vercel", "deployments.delete", "slow", seconds=2)
    double = doubled(stack, campaign.id, "deployments.create")
    until("the removal under way", held, 30.0, campaign.dump)
    stack.kill("worker", "reconciler")
    taken_back(campaign, "removals", double)
    campaign.until("it on record", partial(is_compensated, f"deploy~orphan[{double}]"), 60.0)
    counts = campaign.counts()
    assert (counts["deployments"], counts["removals"]) == (2, 1), campaign.dump()
    assert orphans(campaign) == [("deploy", double)]
    assert campaign.detail()["status"] == "succeeded"


def test_a_prediction_that_tells_of_itself_while_its_step_is_unknown_is_adopted(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__list_lag_seconds=4, replicate__duration_seconds=8)
    stack.fault("replicate", "predictions.create", "lost_reply")
    campaign = customer.start(1)
    campaign.until("the doubt", campaign.in_status("unknown"))

    def has_told() -> list[Json]:
        return stack.rows(
            "SELECT kind FROM webhook_deliveries WHERE effect_workflow_id = %s AND fate IS NULL",
            campaign.id,
        )

    until("the prediction to tell of itself", has_told, 20.0, campaign.dump)
    assert campaign.steps()["swap[0].render"]["external_id"] is None
    campaign.ended("succeeded")
    counts = campaign.counts()
    assert (counts["predictions"], counts["predictions_canceled"]) == (1, 0), campaign.dump()
    assert orphans(campaign) == []


@pytest.mark.timeout(180)
def test_what_a_skipped_step_waited_for_is_cancelled(own_stack: Stack) -> None:
    stack, customer = own_stack, Customer(own_stack)
    stack.calm()
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
    stack.calm()
