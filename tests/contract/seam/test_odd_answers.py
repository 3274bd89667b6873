"""An answer that is read for limits may hold anything: it is returned all the same."""

import time
from collections.abc import Callable

import pytest

from app.outbound import limits
from app.outbound.http import Demand, HttpReply, Limit, Told
from app.outbound.stated_waits import answered_at
from app.settings import Settings
from tasks.openai import limits as openai_limits
from tasks.vercel import limits as vercel_limits
from tests.contract.seam.vendor import vendor

FAR = "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"


def _raises(reply: HttpReply) -> Told:
    raise OverflowError(reply.status)


def test_an_answer_is_returned_although_its_limits_cannot_be_read(
    configure: Callable[..., Settings], valkey_url: str
) -> None:
    configure(REDIS_URL=valkey_url)
    limits.share(valkey_url)
    demand = Demand((Limit("jobs", in_flight=1),), told=_raises)
    with vendor() as press:
        assert [press.ask(demand=demand) for _ in range(3)] == [200] * 3


def test_a_code_that_is_no_text_does_not_say_that_the_account_is_exhausted() -> None:
    told = openai_limits.told(HttpReply(429, {}, b'{"error": {"code": ["insufficient_quota"]}}'))
    assert told.is_refused
    assert not openai_limits.is_exhausted({"insufficient_quota": 1})
    assert openai_limits.is_exhausted("insufficient_quota")


def test_a_date_that_no_calendar_has_counts_as_none() -> None:
    assert abs(answered_at({"date": FAR}).timestamp() - time.time()) < 60


@pytest.mark.parametrize("reset", ["inf", "nan", "1e300", "1796000000000"])
def test_a_reset_too_far_away_is_no_wait(reset: str) -> None:
    headers = {"x-ratelimit-reset": reset, "x-ratelimit-remaining": "1"}
    assert vercel_limits.seconds_to_reset(HttpReply(404, headers, b"")) is None
    assert vercel_limits.told(HttpReply(429, headers, b"")) == Told(is_refused=True)
    assert vercel_limits.told(HttpReply(200, headers, b"")) == Told()


def test_a_reset_within_a_day_is_a_wait() -> None:
    headers = {"x-ratelimit-reset": f"{time.time() + 60:.0f}"}
    found = vercel_limits.seconds_to_reset(HttpReply(429, headers, b""))
    assert found is not None
    assert 55 < found < 62
