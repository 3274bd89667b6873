"""What the calls of each platform take of its limits."""

from collections.abc import Callable

import pytest

from app.outbound.http import Demand, HttpReply
from tasks.agora import limits as agora
from tasks.http import limits as http
from tasks.n8n import limits as n8n
from tasks.openai import limits as openai
from tasks.replicate import limits as replicate
from tasks.stripe import limits as stripe
from tasks.vercel import limits as vercel

DEMANDS: dict[str, Callable[[], Demand | None]] = {
    "stripe": lambda: stripe.demand("refunds.create"),
    "openai": lambda: openai.demand("gpt", "text", 100),
    "replicate": lambda: replicate.demand("predictions.create"),
    "vercel": lambda: vercel.demand("deployments.create"),
    "agora": lambda: agora.demand("POST"),
    "n8n": lambda: n8n.demand("webhooks.trigger"),
    "http": lambda: http.demand("https://api.example.com/orders"),
}


@pytest.mark.parametrize("platform", DEMANDS)
def test_the_calls_of_each_platform_that_run_at_the_same_time_are_limited(platform: str) -> None:
    demand = DEMANDS[platform]()
    assert demand is not None
    assert any(each.in_flight > 0 for each in demand.limits)


@pytest.mark.parametrize("platform", DEMANDS)
def test_a_refusal_lowers_no_limit_that_is_only_of_calls_in_flight(platform: str) -> None:
    demand = DEMANDS[platform]()
    assert demand is not None
    told = demand.told(HttpReply(429, {}, b"{}"))
    only = {each.name for each in demand.limits if each.name == "in flight"}
    assert not only or (told.is_refused and told.names and not only & set(told.names))


def test_each_host_has_limits_of_its_own_and_its_answers_teach_others_nothing() -> None:
    one, other = http.demand("https://a.example/x"), http.demand("https://A.example:443/y")
    assert one.account == other.account == "a.example:443"
    assert http.demand("https://b.example/x").account == "b.example:443"
    assert not one.told(HttpReply(429, {"retry-after": "3600"}, b"")).is_refused
