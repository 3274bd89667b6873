"""What the answers of platforms tell of their limits."""

import json
from email.utils import formatdate

import pytest

from app.outbound.replies import HttpReply, Told
from tasks.openai import limits as openai
from tasks.replicate import limits as replicate
from tasks.vercel import limits as vercel

NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("limit", "left", "told"),
    [
        ("30000", "29000", (500.0, 29000)),
        ("30000", "0", (500.0, 0)),
        ("30000", "-15", (500.0, None)),
        ("30000", "", (500.0, None)),
        ("-1", "0", (None, None)),
        ("0", "0", (None, None)),
        ("", "100", (None, None)),
        ("inf", "nan", (None, None)),
    ],
)
def test_openai_tells_the_tokens_that_are_allowed_and_left(
    limit: str, left: str, told: tuple[float | None, int | None]
) -> None:
    headers = {"x-ratelimit-limit-tokens": limit, "x-ratelimit-remaining-tokens": left}
    seen = openai.told(HttpReply(200, headers, b"{}"))
    assert (seen.token_limit, seen.tokens_left) == told


@pytest.mark.parametrize("field", ["code", "type"])
def test_a_level_of_service_without_room_lowers_no_rate(field: str) -> None:
    # A refusal without a wait would halve the rate of the model for all.
    body = json.dumps({"error": {"message": "no room", field: "resource_unavailable"}}).encode()
    full = openai.told(HttpReply(429, {"x-ratelimit-limit-requests": "120"}, body))
    assert (full.is_refused, full.after, full.tokens, full.limit) == (True, 15.0, 0, None)
    told = openai.told(HttpReply(429, {"retry-after": "90"}, body))
    assert told.after == 90.0


@pytest.mark.parametrize(
    ("limit", "left", "seconds", "told"),
    [
        ("120", "119", 40, Told(limit=2.0)),
        ("120", "11", 40, Told(limit=2.0, remaining=11, reset=40.0)),
        ("120", "12", 40, Told(limit=2.0)),
        ("100", "9", 3000, Told(remaining=9, reset=3000.0)),
        ("100", "99", 3000, Told()),
        ("", "9", 40, Told(remaining=9, reset=40.0)),
        ("0", "x", 40, Told()),
        ("120", "5", -5, Told()),
    ],
)
def test_vercel_tells_the_calls_that_are_allowed_and_left(
    limit: str, left: str, seconds: int, told: Told
) -> None:
    headers = {
        "date": formatdate(NOW, usegmt=True),
        "x-ratelimit-limit": limit,
        "x-ratelimit-remaining": left,
        "x-ratelimit-reset": str(NOW + seconds),
    }
    assert vercel.told(HttpReply(200, headers, b"{}")) == told


@pytest.mark.parametrize(
    ("limit", "left", "told"),
    [
        ("600", "599", Told(limit=10.0)),
        ("600", "59", Told(limit=10.0, remaining=59, reset=30.0)),
        ("6, 6;w=60", "5", Told(limit=0.1, remaining=5, reset=30.0)),
        ("30, 30;w=10", "29", Told(limit=3.0)),
        ("6;w=0", "60", Told()),
        ("0", "60", Told()),
        ("many", "9", Told(remaining=9, reset=30.0)),
        ("", "60", Told()),
    ],
)
def test_replicate_tells_the_calls_that_are_allowed_and_left(
    limit: str, left: str, told: Told
) -> None:
    headers = {"ratelimit-limit": limit, "ratelimit-remaining": left, "ratelimit-reset": "30"}
    assert replicate.told(HttpReply(200, headers, b"{}")) == told


def test_replicate_tells_its_limit_when_it_refuses_too() -> None:
    headers = {"ratelimit-limit": "6", "retry-after": "9"}
    seen = replicate.told(HttpReply(429, headers, b""))
    assert seen == Told(is_refused=True, after=9.0, limit=0.1)
