"""The cache of prompts at the imitated OpenAI: how much of a prompt was read from it.

A prompt of at least 1,024 tokens is kept for its lifetime, in steps of 128 tokens, under its model,
its `prompt_cache_key` and its beginning. What a later prompt has in common with it is read from the
cache. https://developers.openai.com/api/docs/guides/prompt-caching
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass

from ops.sandbox.store import Store

_KIND = "openai_prompt"
_LEAST, _STEP = 1024, 128
_CHARACTERS = 4
_LIFETIMES = {"30m": 1800.0, "12h": 43_200.0}
_WRITES = re.compile(r"gpt-(5\.[6-9]|6)")
"""The models whose writes into the cache are counted, and billed."""


@dataclass(frozen=True)
class Cached:
    """The tokens of a prompt that were read from the cache, and those that were written to it."""

    read: int = 0
    written: int = 0


def through_cache(store: Store, model: str, key: str, prompt: str, ttl: str = "30m") -> Cached:
    """Look a prompt up and keep it; call this in the transaction of the answer."""
    if len(prompt) < _LEAST * _CHARACTERS:
        return Cached()
    head = prompt[: _LEAST * _CHARACTERS]
    name = hashlib.sha256(f"{model}\n{key}\n{head}".encode()).hexdigest()
    chain, digest = [], hashlib.sha256()
    width = _STEP * _CHARACTERS
    for at in range(0, len(prompt) - width + 1, width):
        digest.update(prompt[at : at + width].encode())
        chain.append(digest.hexdigest()[:16])
    now = time.time()
    row = store.get(_KIND, name)
    known = row.body["chain"] if row and row.body["until"] > now else []
    same = next(
        (n for n, pair in enumerate(zip(chain, known, strict=False)) if pair[0] != pair[1]),
        min(len(chain), len(known)),
    )
    store.put(_KIND, name, {"chain": chain, "until": now + _LIFETIMES[ttl]})
    fresh = len(chain) - same if _WRITES.match(model) else 0
    return Cached(same * _STEP, fresh * _STEP)
