"""Webhooks that are not taken: each vendor sends them again by its own schedule."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from ops.sandbox.webhooks.schedules import is_taken, pauses
from tests.sandbox.running import Catcher, Sandbox, until

Client = stripe.StripeClient
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.fixture
def endpoint(alone: None, stripe_client: Client, catcher: Catcher) -> Any:
    """An endpoint that has asked for new customers, and takes none of them."""
    catcher.statuses += [503] * 20
    given: Any = {"url": f"{catcher.url}/down", "enabled_events": ["customer.created"]}
    return stripe_client.v1.webhook_endpoints.create(given)


def told(sandbox: Sandbox, client: Client, tries: int, state: str = "pending") -> str:
    """A customer is created; the event's id once its delivery was tried so often."""
    client.v1.customers.create({"name": "Ada"})
    tried(sandbox, tries, state)
    return str(client.v1.events.list({"type": "customer.created"}).data[0].id)


def tried(sandbox: Sandbox, tries: int, state: str = "pending") -> None:
    """Wait until the delivery was tried so often."""

    def seen() -> bool:
        (only,) = sandbox.control("GET", "/webhooks")["deliveries"]
        return (only["tries"], only["state"]) == (tries, state)

    until(seen)


def advance(sandbox: Sandbox, seconds: int) -> None:
    sandbox.control("POST", "/stripe/advance", {"seconds": seconds})


def undelivered(client: Client) -> list[str]:
    """The events of new customers that Stripe has not delivered."""
    given: Any = {"type": "customer.created", "delivery_success": False}
    return [each.id for each in client.v1.events.list(given).data]


def test_stripe_tries_again_when_its_time_has_come(
    sandbox: Sandbox, stripe_client: Client, endpoint: Any, catcher: Catcher
) -> None:
    event = told(sandbox, stripe_client, 1)
    clock = sandbox.control("GET", "/stripe/clock")
    assert 0 < clock["next_at"] - clock["now"] <= 10 * MINUTE + 1, "whole seconds are told"
    assert sandbox.control("GET", "/underway")["webhooks"] == 0, "it waits for the clock"
    assert undelivered(stripe_client) == [event]
    assert stripe_client.v1.events.retrieve(event).pending_webhooks == 1
    advance(sandbox, 9 * MINUTE)
    tried(sandbox, 1)
    catcher.statuses.clear()
    advance(sandbox, 1 * MINUTE)
    tried(sandbox, 2, "sent")
    assert undelivered(stripe_client) == []
    assert stripe_client.v1.events.retrieve(event).pending_webhooks == 0
    signatures = {headers["stripe-signature"] for _, headers, _ in catcher.got}
    bodies = {raw for _, _, raw in catcher.got}
    assert (len(catcher.got), len(bodies)) == (2, 1)
    assert all(each.startswith("t=") for each in signatures)


@pytest.mark.parametrize(("schedule", "tries", "seconds"), [("sandbox", 4, 5 * HOUR),
                                                           ("live", 13, 3 * DAY)])  # fmt: skip
def test_stripe_gives_up_in_the_end(
    sandbox: Sandbox, stripe_client: Client, endpoint: Any, schedule: str, tries: int, seconds: int
) -> None:
    sandbox.settings(stripe__webhook_schedule=schedule)
    event = told(sandbox, stripe_client, 1)
    advance(sandbox, seconds)
    tried(sandbox, tries, "failed")
    assert undelivered(stripe_client) == [event]
    assert sandbox.control("GET", "/stripe/clock")["next_at"] is None


@pytest.mark.parametrize("end", ["disable", "delete"])
def test_an_endpoint_that_is_gone_is_tried_no_more(
    sandbox: Sandbox, stripe_client: Client, endpoint: Any, catcher: Catcher, end: str
) -> None:
    event = told(sandbox, stripe_client, 1)
    endpoints = stripe_client.v1.webhook_endpoints
    if end == "disable":
        endpoints.update(endpoint.id, {"disabled": True})
    else:
        endpoints.delete(endpoint.id)
    advance(sandbox, 10 * MINUTE)
    tried(sandbox, 1, "failed")
    assert len(catcher.got) == 1
    assert undelivered(stripe_client) == [event]


def test_an_event_says_how_many_deliveries_it_has(
    sandbox: Sandbox, stripe_client: Client, endpoint: Any, catcher: Catcher
) -> None:
    sandbox.settings(hook_base=catcher.url)
    stripe_client.v1.customers.create({"name": "Ada"})
    for path in ("/down", "/hooks/stripe"):
        (body,) = until(lambda path=path: catcher.events(path))  # type: ignore[misc]
        assert body["pending_webhooks"] == 2


def test_the_setting_lets_a_webhook_come_again_at_once(
    sandbox: Sandbox, stripe_client: Client, endpoint: Any
) -> None:
    sandbox.settings(webhook__retry_seconds=0.01, webhook__tries=3)
    event = told(sandbox, stripe_client, 3, "failed")
    assert undelivered(stripe_client) == [event]


@pytest.mark.parametrize(
    ("vendor", "event", "times", "least", "most"),
    [("agora", "103", 3, 1, 60), ("replicate", "completed", 12, 300, 330),
     ("replicate", "output", 0, 0, 0), ("vercel", "deployment.ready", 10, 12 * HOUR, DAY),
     ("n8n", "notification.delivered", 4, 15, 25)],
)  # fmt: skip
def test_each_vendor_has_a_schedule_of_its_own(
    vendor: str, event: str, times: int, least: int, most: int
) -> None:
    own = pauses(vendor, event, "sandbox")
    assert (len(own), sorted(own)) == (times, list(own))
    assert least <= sum(own) <= most


def test_agora_takes_no_answer_but_200() -> None:
    taken = {vendor: is_taken(vendor, 204) for vendor in ("agora", "stripe", "vercel")}
    assert taken == {"agora": False, "stripe": True, "vercel": True}
    assert not is_taken("stripe", 301)
