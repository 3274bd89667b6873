"""OpenAI's quotas of requests and of tokens, at three times what they allow."""

from collections import Counter
from collections.abc import Callable

import pytest

from app.settings import Settings
from tests.contract.calling import LONG_TOKENS, together
from tests.contract.vendors import Vendors

PROCESSES, THREADS, SECONDS = 8, 12, 60.0
MOST_REFUSED, LEAST_USED, OFFERED = 0.01, 0.9, 3.0
REQUESTS, TOKENS = 1_200, 400_000
AMPLE = 1_000_000


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("quota", ["requests", "tokens"])
def test_a_quota_is_used_and_hardly_ever_exceeded_at_three_times_as_much(
    configure: Callable[..., Settings], valkey_url: str, vendors: Vendors, quota: str
) -> None:
    """What is configured is what a new account has; the answers tell another quota."""
    is_long = quota == "tokens"
    configure(
        REDIS_URL=valkey_url,
        OPENAI_LIMIT_REQUESTS="500",
        OPENAI_LIMIT_TOKENS="200000",
        OPENAI_LIMIT_IN_FLIGHT="50",
    )
    vendors.change(
        openai__requests_per_minute=AMPLE if is_long else REQUESTS,
        openai__tokens_per_minute=TOKENS if is_long else AMPLE * LONG_TOKENS,
    )
    allowed = TOKENS / LONG_TOKENS if is_long else REQUESTS
    rate = OFFERED * allowed / 60.0
    name = "openai_long" if is_long else "openai"
    calls = together(name, SECONDS, PROCESSES, THREADS, rate)
    seen = Counter(what for _, what in calls)
    share = seen["refused"] / (seen["refused"] + seen["ok"])
    used = seen["ok"] / (allowed * SECONDS / 60.0)
    told = f"{quota}: {seen}, {share:.2%} refused, {used:.1%} of the quota used"
    print(told)
    assert seen["new"] >= 0.95 * rate * SECONDS, told
    assert share <= MOST_REFUSED, told
    assert used >= LEAST_USED, told
