"""The quotas of the imitated OpenAI, its accounts without credit, and its models without room."""

from __future__ import annotations

import openai
import pytest

from ops.sandbox.openai.quotas import duration
from tests.sandbox.openai.test_responses import BRIEF, MODEL, PLAIN
from tests.sandbox.running import Sandbox


def headers(client: openai.OpenAI, model: str = MODEL, most: int = 100) -> dict[str, str]:
    raw = client.responses.with_raw_response.create(
        model=model, input=BRIEF, max_output_tokens=most
    )
    return dict(raw.headers)


def test_the_headers_tell_what_each_model_has_left(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__requests_per_minute=6, openai__tokens_per_minute=600)
    first, second = headers(openai_client), headers(openai_client)
    assert first["x-ratelimit-limit-requests"] == "6"
    assert first["x-ratelimit-remaining-requests"] == "5"
    assert second["x-ratelimit-remaining-requests"] == "4"
    assert first["x-ratelimit-limit-tokens"] == "600"
    left = [int(each["x-ratelimit-remaining-tokens"]) for each in (first, second)]
    assert 480 < left[0] < 500
    assert left[1] < left[0]
    assert first["x-ratelimit-reset-requests"] == "10s"
    assert first["x-ratelimit-reset-tokens"].startswith(("10", "11"))
    other = headers(openai_client, PLAIN)
    assert other["x-ratelimit-remaining-requests"] == "5"
    counted = openai_client.responses.input_tokens.with_raw_response.count(model=MODEL, input="x")
    assert "x-ratelimit-limit-requests" not in counted.headers


def test_a_quota_that_is_used_up_refuses_and_charges_nothing(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__requests_per_minute=2)
    headers(openai_client)
    headers(openai_client)
    with pytest.raises(openai.RateLimitError, match=rf"for {MODEL} in .* \(RPM\)") as caught:
        headers(openai_client)
    error: dict[str, str] = dict(caught.value.body)  # type: ignore[call-overload]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    told = caught.value.response.headers
    assert 25 < float(told["retry-after-ms"]) / 1000 <= 30
    assert told["x-ratelimit-remaining-requests"] == "0"
    assert sandbox.books()["captions"] == 2


def test_tokens_are_charged_with_the_most_that_may_be_written(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__tokens_per_minute=1_000)
    headers(openai_client, most=900)
    with pytest.raises(
        openai.RateLimitError, match=r"tokens per min \(TPM\): Limit 1000"
    ) as caught:
        headers(openai_client, most=900)
    error: dict[str, str] = dict(caught.value.body)  # type: ignore[call-overload]
    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    with pytest.raises(openai.RateLimitError, match="Request too large"):
        headers(openai_client, most=1_001)
    assert sandbox.books()["captions"] == 1


@pytest.mark.parametrize(
    "code",
    ["insufficient_quota", "credit_balance_exhausted", "project_spend_limit_exceeded"],
)
def test_an_account_without_credit_is_refused_until_it_is_paid(
    sandbox: Sandbox, openai_client: openai.OpenAI, code: str
) -> None:
    sandbox.settings(openai__billing=code)
    with pytest.raises(openai.RateLimitError, match="exceeded your current quota") as caught:
        headers(openai_client)
    error: dict[str, str] = dict(caught.value.body)  # type: ignore[call-overload]
    assert (error["type"], error["code"]) == ("insufficient_quota", code)
    assert "retry-after" not in caught.value.response.headers
    with pytest.raises(openai.RateLimitError):
        openai_client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": BRIEF}]
        )
    assert openai_client.moderations.create(input="A day").results
    sandbox.settings(openai__billing="paid")
    assert headers(openai_client)


def test_only_the_models_of_the_settings_are_overloaded(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__overloaded_models="gpt-5.6-sol gpt-5.4-mini")
    with pytest.raises(openai.InternalServerError, match="currently overloaded") as caught:
        headers(openai_client)
    assert caught.value.status_code == 503
    assert (caught.value.code, caught.value.type) == (
        "server_is_overloaded",
        "service_unavailable_error",
    )
    assert headers(openai_client, "gpt-6-luna")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("slow_down", 429, "rate_limit_error"),
        ("insufficient_quota", 429, "insufficient_quota"),
        ("server_is_overloaded", 503, "service_unavailable_error"),
    ],
)
def test_a_planned_fault_has_the_words_of_its_code(
    sandbox: Sandbox, openai_client: openai.OpenAI, code: str, status: int, kind: str
) -> None:
    sandbox.fault(vendor="openai", operation="responses.*", kind="status", status=status, code=code,
                  match=MODEL)  # fmt: skip
    assert headers(openai_client, PLAIN)
    with pytest.raises(openai.APIStatusError) as caught:
        headers(openai_client)
    assert (caught.value.status_code, caught.value.code, caught.value.type) == (status, code, kind)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.006, "6ms"), (1, "1s"), (8.64, "8.64s"), (172.8, "2m52.8s"), (360, "6m0s"),
     (5400, "1h30m0s")],
)  # fmt: skip
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text
