"""A client that compares each request and each object in each reply with Stripe's description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Catcher, Sandbox
from tests.sandbox.stripe.asked import faults_of_request
from tests.sandbox.stripe.checked import faults_of, unknown_kinds


class CheckedClient(stripe.RequestsClient):
    """Stripe's own HTTP client. It fails for a reply with a missing or unknown field, and if the
    sandbox accepts a request that the SDK's types do not allow."""

    def request(
        self, method: str, url: str, headers: Any, post_data: Any = None, **named: Any
    ) -> Any:
        """Send a request, and check it and the reply."""
        answer = super().request(method, url, headers, post_data, **named)
        reply = json.loads(answer[0])
        assert faults_of(reply) == []
        assert unknown_kinds(reply) == set()
        if answer[1] < HTTPStatus.BAD_REQUEST and "Stripe-Version" in headers:
            assert faults_of_request(method, url, post_data or "") == []
        return answer


@pytest.fixture
def stripe_client(sandbox: Sandbox) -> Iterator[stripe.StripeClient]:
    http = CheckedClient(timeout=10)
    yield stripe.StripeClient(
        sandbox.env("STRIPE_API_KEY"),
        base_addresses={"api": sandbox.env("STRIPE_BASE_URL")},
        max_network_retries=0,
        http_client=http,
    )
    http.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def alone(sandbox: Sandbox, catcher: Catcher) -> Iterator[None]:
    """No endpoint gets events but those that the test registers."""
    sandbox.settings(hook_base="")
    yield
    sandbox.settings(hook_base=catcher.url)
