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
