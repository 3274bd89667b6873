"""The vectors of the imitated OpenAI's embeddings: the seed, the model and the text determine them.

Invariant: each vector has length 1. A text's vector is the sum of those of its words, and a little
of its own, so that texts with the same words are near to each other and no two texts are equal.
Tokens are taken as words, which is why a text and its own tokens have different vectors.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
SIZES = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_OWN_PART = 0.05


def vector(seed: str, given: str | list[int], size: int) -> Vector:
    """Return the vector of an input, of so many numbers and with length 1."""
    is_text = isinstance(given, str)
    words = re.findall(r"\w+", given.lower()) if isinstance(given, str) else map(str, given)
    kind = "word" if is_text else "token"
    total = _OWN_PART * _drawn(f"{seed}:whole:{given}")[:size]
    for word in words:
        total = total + _word(f"{seed}:{kind}:{word}")[:size]
    return np.asarray(total / np.linalg.norm(total), np.float32)


@lru_cache(maxsize=512)
def _word(name: str) -> Vector:
    return _drawn(name)


def _drawn(name: str) -> Vector:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return np.random.default_rng(seed).standard_normal(max(SIZES.values()), np.float32)
