"""Values that are costly to make and may be a little old: kept in each process and in Valkey.

A cache has two levels. The first is in the process and bounded in bytes. The second is in Valkey,
which all processes share. If several processes miss the same key at once, one makes the value and
the others wait for it. Values are JSON texts, so what is read back can run nothing. No value in
Valkey is larger than MOST_BYTES or lives without an end, because Valkey also carries the messages
and throws nothing away.

Outage mode: while Valkey is away, each process keeps to its own level and makes values itself; the
threads of a process still wait for one another. No error of Valkey reaches a caller.

What a key must contain is the caller's duty: the whole scope of whoever asks (its user or account),
since whatever has the same key gets the same value. Results of paid steps are not kept here but in
PostgreSQL (see app/engine/reuse.py).

dogpile.cache was refused: it waits for a lock without a bound, and raises an error if Valkey has
lost the lock meanwhile.
"""

import os
from collections.abc import Callable

from app.caching.shared import Shared
from app.caching.two_levels import MOST_BYTES, Cache, key_of
from app.caching.use import use

__all__ = ["MOST_BYTES", "Cache", "forget", "key_of", "share"]


def share(redis_url: str, count: Callable[[str, str, str], None]) -> None:
    """Let the caches of this process and of its forked children share their values in Valkey.

    `count(cache, level, outcome)` is called for each answer of a level (see `use.Use`).
    """
    use.shared, use.count = Shared(redis_url), count


def forget() -> None:
    """Empty the caches of this process, and let it share no values any more."""
    shared = use.clear()
    if shared is not None:
        shared.close()


os.register_at_fork(after_in_child=use.renew)
