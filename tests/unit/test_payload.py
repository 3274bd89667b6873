"""The limit of a payload counts what PostgreSQL stores, and merge patches follow their standard."""

from typing import Any

import pytest

from app.errors import Permanent
from app.payload import MAX_BYTES, TOO_LARGE, dumps, merged, text_of

QUOTES = 2


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u20ac", "\U0001f5bc"])
def test_the_limit_is_in_bytes_whatever_the_letters(letter: str) -> None:
    size = len(letter.encode())
    most = (MAX_BYTES - QUOTES) // size
    assert len(dumps(letter * most).encode()) <= MAX_BYTES
    with pytest.raises(Permanent, match=f"bytes is over the limit of {MAX_BYTES}") as refused:
        dumps(letter * (most + 1))
    assert refused.value.code == TOO_LARGE
    assert len(text_of(letter * (most + 1)).encode()) > MAX_BYTES


@pytest.mark.parametrize(
    ("value", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_the_examples_of_its_standard_say(
    value: Any, patch: Any, result: Any
) -> None:
    assert merged(value, patch) == result
