"""How many requests an account may send, and what it may create without credit."""

from __future__ import annotations

import pytest

from tests.sandbox.replicate.asking import HELLO_BODY
from tests.sandbox.replicate.conftest import Plain
from tests.sandbox.running import Sandbox


def test_creations_and_other_requests_have_limits_of_their_own(
    sandbox: Sandbox, plain: Plain
) -> None:
    sandbox.settings(replicate__creations_per_window=3, replicate__requests_per_window=5)
    left = []
    for _ in range(3):
        answer = plain("POST", "/predictions", HELLO_BODY)
        left.append(answer.headers["ratelimit-remaining"])
        assert 1 <= int(answer.headers["ratelimit-reset"]) <= 60
    assert left == ["2", "1", "0"]
    refused = plain("POST", "/predictions", HELLO_BODY)
    body, reset = refused.json(), refused.headers["ratelimit-reset"]
    assert refused.status_code == 429
    assert body["detail"] == f"Request was throttled. Your rate limit resets in ~{reset}s."
    assert (body["status"], body["retry_after"]) == (429, int(reset))
    assert refused.headers["ratelimit-remaining"] == "0"
    assert [plain("GET", "/account").status_code for _ in range(6)] == [200] * 5 + [429]
    assert sandbox.books()["predictions"] == 3


@pytest.mark.parametrize(
    ("credit", "words"),
    [
        ("low", "while you have less than $5.0 in credit"),
        ("no_payment_method", "until you add a payment method"),
    ],
)
def test_an_account_with_little_credit_may_create_one_in_ten_seconds(
    sandbox: Sandbox, plain: Plain, credit: str, words: str
) -> None:
    sandbox.settings(replicate__credit=credit)
    answers = [plain("POST", "/predictions", HELLO_BODY) for _ in range(3)]
    refused = [each for each in answers if each.status_code == 429]
    assert len(refused) >= 2
    assert (
        f"reduced to 6 requests per minute with a burst of 1 requests {words}"
        in (refused[0].json()["detail"])
    )
    assert 1 <= refused[0].json()["retry_after"] <= 10
    assert plain("GET", "/account").ok
    sandbox.settings(replicate__credit="ample")
    assert plain("POST", "/predictions", HELLO_BODY).status_code == 201


def test_an_account_without_credit_creates_nothing(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.settings(replicate__credit="none")
    problem = plain.refused("POST", "/predictions", HELLO_BODY)
    assert (problem["status"], problem["title"]) == (402, "Insufficient credit")
    assert sandbox.books()["predictions"] == 0
    assert plain("GET", "/predictions").ok
