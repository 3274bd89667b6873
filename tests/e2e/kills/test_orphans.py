"""Effects that nobody waits for are taken back once, whoever dies meanwhile."""

from functools import partial

import pytest

from tests.e2e.campaign import Customer
from tests.e2e.orphans import doubled, is_compensated, orphans, taken_back
from tests.e2e.stack import Stack, until


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
