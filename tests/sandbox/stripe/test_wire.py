"""What Stripe's API does with any request: errors, headers, lists and metadata."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.running import Sandbox

Client = stripe.StripeClient


def refused(error: pytest.ExceptionInfo[stripe.StripeError]) -> dict[str, Any]:
    body: dict[str, Any] = error.value.json_body["error"]  # type: ignore[index]
    return body


@pytest.fixture
def ask(sandbox: Sandbox, http: requests.Session) -> Any:
    """Send a request without the SDK."""
    key = {"Authorization": f"Bearer {sandbox.env('STRIPE_API_KEY')}"}

    def send(method: str, path: str, headers: Any = None, **more: Any) -> requests.Response:
        address = sandbox.env("STRIPE_BASE_URL") + path
        return http.request(method, address, headers={**key, **(headers or {})}, timeout=5, **more)

    return send


@pytest.mark.parametrize("kind", ["payment_intents", "charges", "events", "customers"])
def test_a_list_refuses_a_parameter_that_it_does_not_have(ask: Any, kind: str) -> None:
    answer = ask("GET", f"/v1/{kind}?colour=red")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (
        400, "parameter_unknown", "colour",
    )  # fmt: skip


def test_an_error_names_the_request_in_the_log_also_when_it_is_replayed(ask: Any) -> None:
    given: dict[str, Any] = {
        "data": {"amount": 1000, "currency": "usd", "payment_method": "pm_card_chargeDeclined",
                 "confirm": "true"},
        "headers": {"Idempotency-Key": uuid.uuid4().hex},
    }  # fmt: skip
    first, again = (ask("POST", "/v1/payment_intents", **given) for _ in range(2))
    assert first.json()["error"]["request_log_url"].endswith(first.headers["Request-Id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"]
    assert again.json() == first.json()


def test_an_unknown_path_has_the_headers_of_a_reply(ask: Any) -> None:
    answer = ask("GET", "/v1/chairs")
    assert answer.status_code == 404
    assert answer.headers["Request-Id"] in answer.json()["error"]["request_log_url"]
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"


@pytest.mark.parametrize(
    ("version", "status"),
    [("2026-10-28.endive", 200), ("2022-11-15", 200), ("2026-10-28", 400), ("1999-01-01", 400),
     ("2099-01-01.fennel", 400), ("newest", 400)],
)  # fmt: skip
def test_a_version_that_does_not_exist_is_refused(ask: Any, version: str, status: int) -> None:
    answer = ask("GET", "/v1/balance", {"Stripe-Version": version})
    assert answer.status_code == status
    assert answer.headers["Stripe-Version"] == version
    if status == 400:
        assert answer.json()["error"]["message"] == f"Invalid Stripe API version: {version}"


def test_a_json_body_is_refused(ask: Any) -> None:
    answer = ask("POST", "/v1/customers", json={"name": "Ada"})
    assert answer.status_code == 400
    assert "application/x-www-form-urlencoded" in answer.json()["error"]["message"]


def test_too_many_requests_say_why(sandbox: Sandbox, stripe_client: Client) -> None:
    sandbox.settings(stripe__requests_per_second=1)
    with pytest.raises(stripe.RateLimitError) as limited:
        _ = [stripe_client.v1.balance.retrieve() for _ in range(30)]
    headers = limited.value.headers
    assert headers is not None
    assert headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert refused(limited)["code"] == "rate_limit"


@pytest.mark.parametrize(
    ("metadata", "words"),
    [({"k" * 41: "v"}, "up to 40 characters"), ({"k": "v" * 501}, "up to 500 characters"),
     ({f"k{n}": "v" for n in range(51)}, "up to 50 keys")],
)  # fmt: skip
def test_metadata_has_limits(stripe_client: Client, metadata: Any, words: str) -> None:
    for create in (
        lambda: stripe_client.v1.customers.create({"metadata": metadata}),
        lambda: stripe_client.v1.payment_intents.create(
            {"amount": 1000, "currency": "usd", "metadata": metadata}
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            create()


def test_metadata_counts_with_the_keys_that_are_there(stripe_client: Client) -> None:
    customers = stripe_client.v1.customers
    full = customers.create({"metadata": {f"k{n}": "v" for n in range(50)}})
    with pytest.raises(stripe.InvalidRequestError, match="up to 50 keys"):
        customers.update(full.id, {"metadata": {"more": "v"}})
    changed = customers.update(full.id, {"metadata": {"more": "v", "k0": ""}})
    assert changed.metadata is not None
    assert len(changed.metadata.to_dict()) == 50


def test_an_address_that_is_none_is_refused(stripe_client: Client) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_client.v1.customers.create({"email": "ada"})
    assert (refused(error)["code"], refused(error)["param"]) == ("email_invalid", "email")
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_client.v1.payment_intents.create(
            {"amount": 1000, "currency": "usd", "receipt_email": "ada@"}
        )
    assert refused(error)["param"] == "receipt_email"


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [({"capture_method": "late"}, None, "capture_method"),
     ({"payment_method_options": {"card": {"odd": "1"}}}, "parameter_unknown",
      "payment_method_options[card][odd]"),
     ({"shipping": {"name": "Ada"}}, "parameter_missing", "shipping[address]"),
     ({"amount": ""}, "parameter_invalid_empty", "amount")],
)  # fmt: skip
def test_a_payment_is_read_however_deep(
    stripe_client: Client, wrong: Any, code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_client.v1.payment_intents.create({"amount": 1000, "currency": "usd"} | wrong)
    assert (refused(error).get("code"), refused(error)["param"]) == (code, param)


def test_a_deleted_customer_cannot_pay(stripe_client: Client) -> None:
    customer = stripe_client.v1.customers.create({"email": "ada@example.com"}).id
    stripe_client.v1.customers.delete(customer)
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_client.v1.payment_intents.create(
            {"amount": 1000, "currency": "usd", "customer": customer}
        )
    assert (refused(error)["code"], refused(error)["param"]) == ("resource_missing", "customer")


@pytest.mark.parametrize(
    ("find", "words", "param"),
    [(lambda v1: v1.payment_methods.retrieve("pm_1"), "No such PaymentMethod: 'pm_1'", "id"),
     (lambda v1: v1.setup_intents.retrieve("seti_1"), "No such setupintent: 'seti_1'", "intent"),
     (lambda v1: v1.events.retrieve("evt_1"), "No such notification: 'evt_1'", "id"),
     (lambda v1: v1.checkout.sessions.retrieve("cs_1"), "No such checkout.session: 'cs_1'", "id"),
     (lambda v1: v1.customers.list({"starting_after": "cus_1"}), "No such customer: 'cus_1'",
      "starting_after")],
)  # fmt: skip
def test_what_does_not_exist_is_called_as_stripe_calls_it(
    stripe_client: Client, find: Any, words: str, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        find(stripe_client.v1)
    assert (refused(error)["message"], refused(error)["param"]) == (words, param)


def test_the_bound_of_a_time_is_named(stripe_client: Client) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_client.v1.customers.list({"created": {"gte": "soon"}})  # type: ignore[arg-type]
    assert refused(error)["param"] == "created[gte]"


@pytest.mark.usefixtures("alone")
def test_events_are_found_by_name_group_and_delivery(stripe_client: Client) -> None:
    stripe_client.v1.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )

    def kinds(**given: Any) -> set[str]:
        return {each.type for each in stripe_client.v1.events.list(given)}  # type: ignore[arg-type]

    assert kinds(type="charge.succeeded") == {"charge.succeeded"}
    assert "charge.succeeded" in kinds(type="charge.*")
    assert "payment_intent.succeeded" not in kinds(type="charge.*")
    both = ["charge.succeeded", "payment_intent.succeeded"]
    assert kinds(types=both) == set(both)
    assert kinds(delivery_success=False) == set()
    for wrong in ({"type": "a", "types": ["b"]}, {"types": ["charge.*"]}):
        with pytest.raises(stripe.InvalidRequestError):
            kinds(**wrong)


def test_charges_are_found_by_their_transfer_group(stripe_client: Client) -> None:
    wanted = {"payment_method": "pm_card_visa", "confirm": True, "transfer_group": "orders"}
    for more in ({}, wanted):
        stripe_client.v1.payment_intents.create({"amount": 1000, "currency": "usd", **more})  # type: ignore[typeddict-item]
    found = stripe_client.v1.charges.list({"transfer_group": "orders"}).data
    assert [each.transfer_group for each in found] == ["orders"]
