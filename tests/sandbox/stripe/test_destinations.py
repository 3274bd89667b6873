"""Event destinations and thin events of API v2, and the webhook endpoints of API v1."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, until

Client = stripe.StripeClient
SECRET, ADDRESS = "webhook_endpoint.signing_secret", "webhook_endpoint.url"


def made(client: Client, to: str, *events: str, payload: str = "thin", **more: Any) -> Any:
    """A new destination that shows its secret and its address."""
    given: Any = {
        "name": "ours", "type": "webhook_endpoint", "event_payload": payload,
        "enabled_events": list(events), "webhook_endpoint": {"url": to},
        "include": [SECRET, ADDRESS], **more,
    }  # fmt: skip
    return client.v2.core.event_destinations.create(given)


def arrived(catcher: Catcher, path: str, count: int) -> list[tuple[str, bytes]]:
    """The signature and the body of the deliveries to a path, in their order of events."""

    def enough() -> list[tuple[str, bytes]] | None:
        found = [
            (headers["stripe-signature"], raw) for to, headers, raw in catcher.got if to == path
        ]
        return found if len(found) >= count else None

    return sorted(until(enough), key=lambda each: str(json.loads(each[1])["type"]))


def told(client: Client, secret: str, signature: str, raw: bytes) -> Any:
    """A delivery as the SDK reads it; raises if the secret has not signed it."""
    return client.parse_event_notification(raw, signature, secret)


@pytest.mark.usefixtures("alone")
def test_a_thin_event_is_signed_and_leads_to_its_event_and_object(
    stripe_client: Client, catcher: Catcher
) -> None:
    to = made(stripe_client, f"{catcher.url}/thin", "v1.customer.created", "v1.customer.updated")
    customer = stripe_client.v1.customers.create({"name": "Ada"})
    stripe_client.v1.customers.update(customer.id, {"name": "Grace"})
    stripe_client.v1.products.create({"name": "a stool"})
    created, updated = (
        told(stripe_client, to.webhook_endpoint.signing_secret, *each)
        for each in arrived(catcher, "/thin", 2)
    )
    assert type(created).__name__ == "V1CustomerCreatedEventNotification"
    assert created.related_object.url == f"/v1/customers/{customer.id}"
    assert created.fetch_related_object().name == "Grace"
    event = updated.fetch_event()
    assert event.type == "v1.customer.updated"
    assert event.changes.to_dict() == {"before": {"name": "Ada"}, "after": {"name": "Grace"}}
    snapshot = stripe_client.v1.events.retrieve(event.snapshot_event)
    assert (snapshot.type, snapshot.request.id) == ("customer.updated", event.reason.request.id)  # type: ignore[union-attr]
    assert {each for each, *_ in catcher.got} == {"/thin"}


@pytest.mark.usefixtures("alone")
def test_each_endpoint_gets_what_it_asked_for_under_its_own_secret(
    stripe_client: Client, catcher: Catcher
) -> None:
    url, v1 = catcher.url, stripe_client.v1
    new = made(stripe_client, f"{url}/new", "customer.created", payload="snapshot")
    old = v1.webhook_endpoints.create({"url": f"{url}/old", "enabled_events": ["*"]})
    v1.customers.create({"name": "Ada"})
    v1.products.create({"name": "a stool"})
    assert old.secret is not None
    for path, secret, kinds in (
        ("/new", new.webhook_endpoint.signing_secret, ["customer.created"]),
        ("/old", old.secret, ["customer.created", "product.created"]),
    ):
        found = arrived(catcher, path, len(kinds))
        read = [stripe_client.construct_event(raw, mark, secret) for mark, raw in found]
        assert [each.type for each in read] == kinds
        assert {each.api_version for each in read} == {"2026-10-28.endive"}
        with pytest.raises(stripe.SignatureVerificationError):
            stripe_client.construct_event(found[0][1], found[0][0], "whsec_of_others")


@pytest.mark.usefixtures("alone")
def test_changes_have_finer_thin_events(stripe_client: Client) -> None:
    v1 = stripe_client.v1
    product = v1.products.create({"name": "a stool"})
    price = v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 500})
    v1.prices.update(price.id, {"active": False, "lookup_key": "stool"})
    v1.products.update(product.id, {"active": False})
    listed = stripe_client.v2.core.events.list({"limit": 2}).auto_paging_iter()
    kinds = {each.type for each in listed}
    assert kinds == {
        "v1.product.created", "v1.price.created", "v1.price.updated", "v1.price.deactivated",
        "v1.price.lookup_key_changed", "v1.product.updated", "v1.product.deactivated",
    }  # fmt: skip
    of_product = stripe_client.v2.core.events.list({"object_id": product.id}).data
    assert {each.type.split(".")[1] for each in of_product} == {"product"}


@pytest.mark.usefixtures("alone")
def test_items_of_a_subscription_have_thin_events_of_their_own(stripe_client: Client) -> None:
    v1 = stripe_client.v1
    product = v1.products.create({"name": "a club"}).id
    first, second = (
        v1.prices.create(
            {"product": product, "currency": "usd", "unit_amount": amount,
             "recurring": {"interval": "month"}}
        ).id
        for amount in (500, 700)
    )  # fmt: skip
    customer = v1.customers.create({"payment_method": "pm_card_visa"}).id
    bought = v1.subscriptions.create(
        {"customer": customer, "items": [{"price": first}], "trial_period_days": 3}
    )
    item = bought["items"].data[0].id
    v1.subscriptions.update(bought.id, {"items": [{"id": item, "quantity": 2}, {"price": second}]})
    wanted = ["v1.customer.subscription.item_added",
              "v1.customer.subscription.item_quantity_changed",
              "v1.customer.subscription.item_removed"]  # fmt: skip
    found = stripe_client.v2.core.events.list({"types": wanted}).data
    assert sorted(each.type for each in found) == wanted[:2]


def test_a_destination_hides_its_secret_and_its_address(stripe_client: Client) -> None:
    destinations = stripe_client.v2.core.event_destinations
    new = made(stripe_client, "https://example.com/a", "v1.charge.succeeded")
    assert new.webhook_endpoint.signing_secret.startswith("whsec_")
    plain = destinations.retrieve(new.id).webhook_endpoint
    asked = destinations.retrieve(new.id, {"include": [ADDRESS]}).webhook_endpoint
    assert plain is not None
    assert asked is not None
    assert (plain.signing_secret, plain.url) == (None, None)
    assert (asked.signing_secret, asked.url) == (None, "https://example.com/a")
    with pytest.raises(stripe.InvalidRequestError, match="include"):
        destinations.retrieve(new.id, {"include": [SECRET]})


@pytest.mark.usefixtures("alone")
def test_a_destination_is_changed_disabled_enabled_and_deleted(
    stripe_client: Client, catcher: Catcher
) -> None:
    destinations, v1 = stripe_client.v2.core.event_destinations, stripe_client.v1
    new = made(stripe_client, f"{catcher.url}/a", "v1.charge.failed", metadata={"a": "1"})
    changed = destinations.update(
        new.id,
        {"enabled_events": ["v1.customer.created"], "metadata": {"a": None, "b": "2"},
         "webhook_endpoint": {"url": f"{catcher.url}/b"}, "include": [ADDRESS]},
    )  # fmt: skip
    assert changed.metadata is not None
    assert changed.webhook_endpoint is not None
    assert changed.metadata.to_dict() == {"b": "2"}
    assert changed.webhook_endpoint.url == f"{catcher.url}/b"
    off = destinations.disable(new.id)
    assert (off.status, off.to_dict()["status_details"]) == (
        "disabled", {"disabled": {"reason": "user"}},
    )  # fmt: skip
    v1.customers.create({"name": "unheard"})
    assert destinations.enable(new.id).status == "enabled"
    heard = v1.customers.create({"name": "heard"}).id
    ((_, raw),) = arrived(catcher, "/b", 1)
    assert json.loads(raw)["related_object"]["id"] == heard
    assert destinations.delete(new.id).to_dict() == {
        "id": new.id, "object": "v2.core.event_destination",
    }  # fmt: skip
    for gone in (destinations.retrieve, destinations.delete, destinations.ping):
        with pytest.raises(stripe.InvalidRequestError) as error:
            gone(new.id)
        assert (error.value.http_status, error.value.code) == (404, "not_found")


@pytest.mark.usefixtures("alone")
def test_a_ping_tells_of_its_destination(stripe_client: Client, catcher: Catcher) -> None:
    to = made(stripe_client, f"{catcher.url}/ping", "v1.charge.failed")
    sent = stripe_client.v2.core.event_destinations.ping(to.id)
    (delivery,) = arrived(catcher, "/ping", 1)
    notice = told(stripe_client, to.webhook_endpoint.signing_secret, *delivery)
    assert (notice.id, notice.type) == (sent.id, "v2.core.event_destination.ping")
    assert notice.fetch_event().id == sent.id
    assert notice.fetch_related_object().name == "ours"


def test_lists_have_pages_by_address(stripe_client: Client) -> None:
    made_ids = [made(stripe_client, "https://example.com", "*").id for _ in range(3)]
    first = stripe_client.v2.core.event_destinations.list({"limit": 2, "include": [ADDRESS]})
    assert len(first.data) == 2
    assert first.next_page_url is not None
    everything = list(first.auto_paging_iter())
    assert [each.id for each in everything] == made_ids[::-1]
    assert {each.webhook_endpoint and each.webhook_endpoint.url for each in everything} == {
        "https://example.com"
    }
    for wrong in (0, 101):
        with pytest.raises(stripe.InvalidRequestError, match="limit"):
            stripe_client.v2.core.event_destinations.list({"limit": wrong})


@pytest.mark.parametrize(
    ("wrong", "path"),
    [({"enabled_events": ["charge.failed"]}, "enabled_events[0]"),
     ({"event_payload": "fat"}, "event_payload"), ({"type": "amazon_eventbridge"}, "type"),
     ({"snapshot_api_version": "2026-10-28.endive"}, "snapshot_api_version"),
     ({"events_from": ["@organization_members"]}, "events_from[0]"),
     ({"webhook_endpoint": {"url": "example.com"}}, "webhook_endpoint"),
     ({"metadata": {"a": 1}}, "metadata"), ({"colour": "red"}, "colour"), ({"name": None}, "name")],
)  # fmt: skip
def test_fields_of_a_destination_are_refused_by_name(
    stripe_client: Client, wrong: dict[str, Any], path: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        made(stripe_client, "https://example.com", "v1.charge.failed", **wrong)
    body = error.value.json_body["error"]  # type: ignore[index]
    assert (error.value.http_status, body["code"]) == (400, "invalid_fields")
    assert body["message"].startswith(f"Some fields in the request were invalid: '{path}: ")


def test_a_key_makes_one_destination_and_one_deletion(stripe_client: Client) -> None:
    destinations = stripe_client.v2.core.event_destinations
    given: Any = {
        "name": "a", "type": "webhook_endpoint", "event_payload": "thin", "enabled_events": ["*"],
        "webhook_endpoint": {"url": "https://example.com"},
    }  # fmt: skip
    first, again = (destinations.create(given, {"idempotency_key": "k1"}) for _ in range(2))
    assert first.id == again.id
    with pytest.raises(stripe.IdempotencyError):
        destinations.create(given | {"name": "b"}, {"idempotency_key": "k1"})
    for _ in range(2):
        assert destinations.delete(first.id, options={"idempotency_key": "k2"}).id == first.id


@pytest.mark.usefixtures("alone")
def test_a_webhook_endpoint_shows_its_secret_once(stripe_client: Client, catcher: Catcher) -> None:
    endpoints = stripe_client.v1.webhook_endpoints
    new = endpoints.create(
        {"url": f"{catcher.url}/old", "enabled_events": ["customer.created"],
         "api_version": "2026-09-30.endive"}
    )  # fmt: skip
    assert new.secret is not None
    assert "secret" not in endpoints.retrieve(new.id).to_dict()
    stripe_client.v1.customers.create({"name": "Ada"})
    ((mark, raw),) = arrived(catcher, "/old", 1)
    assert stripe_client.construct_event(raw, mark, new.secret).api_version == "2026-09-30.endive"
    assert endpoints.update(new.id, {"disabled": True}).status == "disabled"
    assert endpoints.delete(new.id).deleted
    with pytest.raises(stripe.InvalidRequestError) as error:
        endpoints.create({"url": "example.com", "enabled_events": ["*"]})
    assert error.value.code == "url_invalid"


@pytest.mark.usefixtures("alone")
def test_events_have_the_form_of_the_version_of_their_endpoint(
    stripe_client: Client, catcher: Catcher
) -> None:
    v1, url = stripe_client.v1, catcher.url
    kinds: Any = ["customer.subscription.created", "invoice.paid", "charge.succeeded",
                  "payment_intent.succeeded"]  # fmt: skip
    given: Any = {"enabled_events": kinds}
    v1.webhook_endpoints.create(given | {"url": f"{url}/old", "api_version": "2023-10-16"})
    v1.webhook_endpoints.create(given | {"url": f"{url}/new"})
    made(stripe_client, f"{url}/v2", *kinds, payload="snapshot", snapshot_api_version="2023-10-16")
    product = v1.products.create({"name": "a club"}).id
    price: Any = {"product": product, "currency": "usd", "unit_amount": 500}
    price = v1.prices.create(price | {"recurring": {"interval": "month"}}).id
    customer = v1.customers.create(
        {"payment_method": "pm_card_visa",
         "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    ).id  # fmt: skip
    bought = v1.subscriptions.create({"customer": customer, "items": [{"price": price}]})
    read = {
        path: {event["type"]: event for event in (json.loads(raw) for _, raw in found)}
        for path in ("/old", "/new", "/v2")
        if (found := arrived(catcher, path, len(kinds)))
    }
    assert {each["api_version"] for each in read["/old"].values()} == {"2023-10-16"}
    for path in ("/old", "/v2"):
        about = {kind: event["data"]["object"] for kind, event in read[path].items()}
        invoice, charge = about["invoice.paid"], about["charge.succeeded"]
        period = about["customer.subscription.created"]["current_period_end"]
        assert period == bought["items"].data[0].current_period_end
        assert (invoice["subscription"], invoice["paid"]) == (bought.id, True)
        assert (invoice["payment_intent"], invoice["charge"]) == (
            charge["payment_intent"], charge["id"],
        )  # fmt: skip
        assert charge["invoice"] == about["payment_intent.succeeded"]["invoice"] == invoice["id"]
    new = {kind: event["data"]["object"] for kind, event in read["/new"].items()}
    assert not {"subscription", "payment_intent", "charge", "paid"} & set(new["invoice.paid"])
    assert "current_period_end" not in new["customer.subscription.created"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"enabled_events": ["charge.fell"]}, "enabled_events"), ({"enabled_events": []}, "enabled_"),
     ({"api_version": "2023-10-17"}, "api_version"), ({"secret": "whsec_mine"}, "secret"),
     ({"url": ""}, "url")],
)  # fmt: skip
def test_parameters_of_a_webhook_endpoint_are_refused_by_name(
    stripe_client: Client, wrong: Any, message: str
) -> None:
    given: Any = {"url": "https://example.com", "enabled_events": ["*"]}
    with pytest.raises(stripe.InvalidRequestError, match=message) as error:
        stripe_client.v1.webhook_endpoints.create(given | wrong)
    assert error.value.http_status == 400
