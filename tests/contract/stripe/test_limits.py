"""Stripe's limits: what its answers say, and one that they do not say, which is found."""

import json
from collections import Counter
from collections.abc import Callable

import pytest

from app.errors import NotServed
from app.outbound import limits
from app.outbound.http import HttpReply
from app.settings import Settings
from tasks.stripe.client import api
from tasks.stripe.limits import demand
from tests.contract.calling import together
from tests.contract.vendors import Vendors

PROCESSES, THREADS = 8, 10
FIRST_SECONDS, SECONDS = 10.0, 50.0
ENFORCED = 25


def answer(status: int, code: str | None = None, reason: str | None = None) -> HttpReply:
    headers = {} if reason is None else {"stripe-rate-limited-reason": reason}
    return HttpReply(status, headers, json.dumps({"error": {"code": code}}).encode())


def test_an_answer_says_which_limit_refuses(settings: Settings) -> None:
    made = demand("refunds.create")
    assert made is not None
    told = made.told
    assert not told(answer(200)).is_refused
    assert told(answer(429, "rate_limit")).names == ()
    assert told(answer(429, "rate_limit", "global-rate")).names == ("account",)
    assert told(answer(429, None, "endpoint-concurrency")).names == ("endpoint refunds.create",)
    assert told(answer(400, "rate_limit")).is_refused
    assert not told(answer(400, "amount_too_small")).is_refused
    assert not told(answer(429, "lock_timeout")).is_refused
    assert not told(answer(429, "rate_limit", "resource-specific")).is_refused


def test_the_calls_of_an_endpoint_wait_for_their_place(
    configure: Callable[..., Settings], valkey_url: str
) -> None:
    configure(REDIS_URL=valkey_url, STRIPE_LIMIT_ENDPOINT_REQUESTS="0.5")
    limits.share(valkey_url)
    assert api().refunds_of("pi_none") == []
    with pytest.raises(NotServed, match=r"the limit endpoint refunds\.list of stripe is used up"):
        api().refunds_of("pi_none")
    for _ in range(3):
        api().probe()  # it takes no place


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_limit_that_no_header_tells_is_found_and_used(
    configure: Callable[..., Settings], valkey_url: str, vendors: Vendors
) -> None:
    """Configured are 100 calls in a second; Stripe accepts 25, and does not say so."""
    configure(REDIS_URL=valkey_url, STRIPE_LIMIT_REQUESTS="100")
    vendors.change(stripe__requests_per_second=ENFORCED)
    calls = together("stripe", SECONDS, PROCESSES, THREADS)
    seen = Counter(what for at, what in calls if at >= FIRST_SECONDS and what != "held")
    share = seen["refused"] / seen.total()
    rate = seen["ok"] / (SECONDS - FIRST_SECONDS)
    told = f"{share:.2%} refused, {rate:.1f} accepted in a second"
    assert share <= 0.02, told
    assert rate >= 0.9 * ENFORCED, told
