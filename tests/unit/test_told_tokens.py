"""What an answer of OpenAI tells of the tokens that it has used."""

import json

import pytest

from app.outbound.replies import HttpReply
from tasks.openai import limits


@pytest.mark.parametrize(
    ("said", "told"),
    [(7, 7), (5, None), (3, None), (0, None), (-7, None), (True, None), ("7", None), (None, None)],
)
def test_only_a_larger_count_of_tokens_takes_the_place_of_what_openai_counts_at_first(
    said: object, told: int | None
) -> None:
    body = json.dumps({"usage": {"total_tokens": said}}).encode()
    assert limits.told(HttpReply(200, {}, body), counted=5).tokens == told


def test_a_request_that_is_too_large_does_not_lower_the_rate() -> None:
    words = "Request too large for gpt-6-sol in organization org-1 on tokens per min (TPM): Limit"
    error = {"message": f"{words} 30000, Requested 36278.", "code": "rate_limit_exceeded"}
    headers = {"retry-after": "7", "x-ratelimit-limit-tokens": "30000"}
    told = limits.told(HttpReply(429, headers, json.dumps({"error": error}).encode()))
    assert (told.is_refused, told.after, told.tokens, told.token_limit) == (False, None, 0, 500)
    error["message"] = "Rate limit reached for gpt-6-sol."
    assert limits.told(HttpReply(429, headers, json.dumps({"error": error}).encode())).is_refused
