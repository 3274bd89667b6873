"""A client that compares each object in each reply with the description of its kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Sandbox
from tests.sandbox.stripe.checked import faults_of


class CheckedClient(stripe.RequestsClient):
    """Stripe's own HTTP client, which fails for a reply with a missing or unknown field."""

    def request(self, *given: Any, **named: Any) -> Any:
        """Send a request, and check the reply."""
        answer = super().request(*given, **named)
        assert faults_of(json.loads(answer[0])) == []
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
