"""Webhooks that do not come, come twice or come late: the platform is asked, nothing is doubled."""

from collections import Counter

from tests.e2e.campaign import Campaign, Customer
from tests.e2e.stack import Json, Stack, until

ONCE = {"authorizations": 1, "captures": 1, "refunds": 0, "predictions": 1, "deployments": 1}
SUSPENDED = ("swap[0].render", "deploy", "notify")


def test_without_any_webhook_polling_carries_the_campaign_to_its_end(
    stack: Stack, customer: Customer
) -> None:
    stack.fault("*", "*", "drop_webhook", count=-1)
    campaign = customer.start(1)
    campaign.ended("succeeded")
    assert _woken(campaign) == Counter()
    assert campaign.paid() == ONCE, campaign.dump()
    assert campaign.counts()["notifications"] == 1


def test_webhooks_that_come_twice_wake_a_step_once(stack: Stack, customer: Customer) -> None:
    stack.fault("*", "*", "double_webhook", count=-1)
    sent_before = len(_deliveries(stack))
    campaign = customer.start(1)
    campaign.ended("succeeded")
    woken = _woken(campaign)
    assert set(woken) == set(SUSPENDED)
    rows = stack.rows(
        "SELECT key, count(*) AS taken_in FROM steps JOIN webhook_deliveries USING (external_id)"
        " WHERE workflow_id = %s GROUP BY key",
        campaign.id,
    )
    assert all(woken[row["key"]] <= row["taken_in"] for row in rows), (woken, rows)
    sent = Counter(each["message_id"] for each in _deliveries(stack)[sent_before:])
    assert set(sent.values()) == {2}
    known = stack.rows(
        "SELECT delivery_id FROM webhook_deliveries WHERE delivery_id = ANY (%s)", list(sent)
    )
    assert len(known) == len({row["delivery_id"] for row in known})
    assert campaign.paid() == ONCE, campaign.dump()


def test_a_webhook_that_comes_after_the_poll_changes_nothing(
    stack: Stack, customer: Customer
) -> None:
    stack.fault("replicate", "completed", "delay_webhook", seconds=5)
    sent_before = len(_deliveries(stack))
    campaign = customer.start(1)
    campaign.ended("succeeded")
    settled, paid = campaign.events(), campaign.paid()

    def late() -> Json | None:
        ends = ("replicate", "completed")
        sent = [
            each
            for each in _deliveries(stack)[sent_before:]
            if (each["vendor"], each["event"]) == ends
        ]
        return sent[0] if sent and sent[0]["state"] == "sent" else None

    delivery = until("the late webhook", late, 20.0, campaign.dump)
    assert delivery["last"] == "200", "a late webhook is taken in like any other"
    assert "swap[0].render" not in _woken(campaign)
    assert (campaign.events(), campaign.paid()) == (settled, paid)
    assert paid == ONCE, campaign.dump()


def _woken(campaign: Campaign) -> Counter[str]:
    """How often a webhook woke each step."""
    return Counter(event["step"] for event in campaign.events() if event["type"] == "StepWoken")


def _deliveries(stack: Stack) -> list[Json]:
    found: list[Json] = stack.control("GET", "/webhooks")["deliveries"]
    return found
