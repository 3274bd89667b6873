"""Replies that are lost and refusals that are stored: what was paid for is paid for once."""

import pytest

from tests.e2e.campaign import Campaign, Customer
from tests.e2e.stack import Stack

CUSTOMER = "loses-replies"
ONCE = {"authorizations": 1, "captures": 1, "refunds": 0, "predictions": 1, "deployments": 1}


@pytest.mark.parametrize(
    ("vendor", "operation", "step"),
    [
        ("stripe", "payment_intents.create", "authorize"),
        ("replicate", "predictions.create", "swap[0].render"),
        ("stripe", "payment_intents.capture", "capture"),
        ("vercel", "deployments.create", "deploy"),
    ],
)
def test_an_effect_whose_reply_is_lost_is_found_by_lookup_and_never_doubled(
    stack: Stack, customer: Customer, vendor: str, operation: str, step: str
) -> None:
    lost = stack.fault(vendor, operation, "lost_reply", **_match(operation))
    campaign = customer.start(1, customer_email=f"{CUSTOMER}@example.com")
    campaign.ended("succeeded")
    assert lost() == 1
    kinds = campaign.kinds(step)
    assert kinds[0] == "StepOutcomeUnknown", campaign.dump()
    assert kinds[-1] == "StepSucceeded"
    assert campaign.paid() == ONCE, campaign.dump()


def test_a_refund_whose_reply_is_lost_is_found_and_not_made_twice(
    stack: Stack, customer: Customer
) -> None:
    stack.fault("n8n", "webhook.post", "fail", error="the mailbox is closed")
    lost = stack.fault("stripe", "refunds.create", "lost_reply")
    campaign = customer.start(1)
    campaign.ended("compensated")
    assert lost() == 1
    assert campaign.paid() == ONCE | {"refunds": 1}, campaign.dump()
    assert campaign.counts()["removals"] == 1


def test_replies_lost_at_every_paid_call_of_one_campaign_double_nothing(
    stack: Stack, customer: Customer
) -> None:
    for vendor, operation in (
        ("stripe", "payment_intents.create"),
        ("stripe", "payment_intents.capture"),
        ("replicate", "predictions.create"),
        ("vercel", "deployments.create"),
        ("n8n", "webhook.post"),
    ):
        stack.fault(vendor, operation, "lost_reply", **_match(operation))
    campaign = customer.start(3, customer_email=f"{CUSTOMER}@example.com")
    campaign.ended("succeeded")
    assert campaign.paid() == ONCE | {"predictions": 3}, campaign.dump()
    assert campaign.counts()["notifications"] == 1


def test_a_429_and_then_a_stored_500_lead_to_one_authorization(
    stack: Stack, refused_campaign: Campaign
) -> None:
    refused_campaign.ended("compensated", seconds=110.0)
    counts = refused_campaign.counts()
    effects = ("payment_intents", "authorizations", "cancellations", "captures")
    assert [counts[name] for name in effects] == [1, 1, 1, 0], refused_campaign.dump()
    kinds = refused_campaign.kinds("authorize")
    assert kinds[0] == "StepRetryScheduled"
    assert "StepOutcomeUnknown" in kinds
    assert "StepSucceeded" in kinds
    first = next(e for e in refused_campaign.events() if e["type"] == "StepRetryScheduled")
    assert first["data"]["seconds"] >= 2, "Retry-After is never undercut"
    # The 500 stands under the first key for a day: only a new one could get through.
    assert len({row["key"] for row in _sent(stack, refused_campaign)}) == 2


def _match(operation: str) -> dict[str, str]:
    """A campaign that is under way all the while must not meet this one's fault."""
    return {"match": CUSTOMER} if operation == "payment_intents.create" else {}


def _sent(stack: Stack, campaign: Campaign) -> list[dict[str, str]]:
    return stack.rows(
        "SELECT key, resolution FROM intents WHERE workflow_id = %s AND step_key = 'authorize'",
        campaign.id,
    )


def test_a_gallery_on_an_account_with_a_small_limit_is_paid_once_and_succeeds(
    stack: Stack, customer: Customer
) -> None:
    # Before, each 429 counted as a try: after eight of them the paid pictures were undone.
    stack.change(replicate__creations_per_window=6, replicate__window_seconds=6)
    try:
        campaign = customer.start(16)
        campaign.ended("succeeded", seconds=90.0)
    finally:
        stack.change(replicate__creations_per_window=10_000, replicate__window_seconds=60)
    assert campaign.paid() == ONCE | {"predictions": 16}, campaign.dump()
