"""What an answer of OpenAI tells of the tokens that it has used."""

import json

import pytest

from app.outbound.replies import HttpReply
from tasks.openai import limits


@pytest.mark.parametrize(
    ("said", "told"), [(7, 7), (0, 0), (-7, None), (True, None), ("7", None), (None, None)]
)
def test_only_a_count_of_tokens_is_taken_for_what_was_used(said: object, told: int | None) -> None:
    body = json.dumps({"usage": {"total_tokens": said}}).encode()
    assert limits.told(HttpReply(200, {}, body)).tokens == told
