"""Embeddings through openai.OpenAI, which asks for base64 and decodes it."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import openai
import pytest

from tests.sandbox.running import Sandbox

SMALL, LARGE, OLD = "text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"


def vectors(client: openai.OpenAI, given: Any, model: str = SMALL, **more: Any) -> list[Any]:
    found = client.embeddings.create(model=model, input=given, **more)
    assert [each.index for each in found.data] == list(range(len(found.data)))
    assert found.usage.total_tokens == found.usage.prompt_tokens > 0
    return [each.embedding for each in found.data]


def alike(one: list[float], other: list[float]) -> float:
    return sum(left * right for left, right in zip(one, other, strict=True))


@pytest.mark.parametrize(("model", "size"), [(SMALL, 1536), (LARGE, 3072), (OLD, 1536)])
def test_vector_of_a_text_has_length_one_and_is_the_same_every_time(
    sandbox: Sandbox, openai_client: openai.OpenAI, model: str, size: int
) -> None:
    (first,), (again,) = (vectors(openai_client, "A night at the fair", model) for _ in range(2))
    assert len(first) == size
    assert first == again
    assert math.isclose(alike(first, first), 1, abs_tol=1e-5)
    assert sandbox.books()["embeddings"] == 2


def test_texts_with_the_same_words_are_near_to_each_other(openai_client: openai.OpenAI) -> None:
    fair, near, far = vectors(
        openai_client, ["A night at the fair", "the fair at night", "Quarterly tax return"]
    )
    assert 0.85 < alike(fair, near) < 1
    assert abs(alike(fair, far)) < 0.2


def test_floats_base64_and_fewer_dimensions_are_the_same_vector(
    openai_client: openai.OpenAI,
) -> None:
    (whole,) = vectors(openai_client, "x")
    (floats,) = vectors(openai_client, "x", encoding_format="float")
    assert floats == pytest.approx(whole, abs=1e-6)
    (short,) = vectors(openai_client, "x", dimensions=256)
    length = math.sqrt(alike(whole[:256], whole[:256]))
    assert short == pytest.approx([each / length for each in whole[:256]], abs=1e-5)
    (text,) = vectors(openai_client, "x", encoding_format="base64")
    assert base64.b64decode(text) == struct.pack("<1536f", *whole)


def test_tokens_are_taken_alone_and_in_lists(openai_client: openai.OpenAI) -> None:
    (one,) = vectors(openai_client, [15, 339, 8])
    two = vectors(openai_client, [[15, 339, 8], [7]])
    assert two[0] == one
    assert two[1] != one
    found = openai_client.embeddings.create(model=SMALL, input=[[15, 339, 8], [7]])
    assert found.usage.prompt_tokens == 4


@pytest.mark.parametrize(
    ("given", "more", "words"),
    [
        ("", {}, r"'\$\.input' is invalid"),
        ([], {}, r"'\$\.input' is invalid"),
        (["a", ""], {}, r"'\$\.input' is invalid"),
        ([1, -2], {}, r"'\$\.input' is invalid"),
        (["x"] * 2049, {}, "maximum length 2048, but got an array with length 2049"),
        ("word " * 8000, {}, "maximum context length is 8192 tokens, however you requested 10000"),
        (["word " * 6000] * 41, {}, "max 300000 tokens per request"),
        ("x", {"model": OLD, "dimensions": 5}, "does not support specifying dimensions"),
        ("x", {"dimensions": 0}, "Expected a value >= 1"),
        ("x", {"dimensions": 1537}, "less than or equal to 1536"),
        ("x", {"encoding_format": "int8"}, "'float' and 'base64'"),
        ("x", {"extra_body": {"size": 5}}, "Unknown parameter: 'size'"),
    ],
)
def test_what_is_no_input_is_refused_in_openais_words(
    openai_client: openai.OpenAI, given: Any, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        openai_client.embeddings.create(**{"model": SMALL, "input": given, **more})


def test_other_models_make_no_embeddings(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="not allowed to generate embeddings"):
        vectors(openai_client, "x", "gpt-6-luna")
    with pytest.raises(openai.NotFoundError) as unknown:
        vectors(openai_client, "x", "text-embedding-9")
    assert unknown.value.code == "model_not_found"
