"""The limit of a payload counts what PostgreSQL stores: bytes."""

import pytest

from app.errors import Permanent
from app.payload import MAX_BYTES, TOO_LARGE, dumps, text_of

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
