"""What a process does that asks a cache for a cold key."""

import sys
import time
from pathlib import Path

from app import caching
from app.caching import Cache, key_of

KEY = key_of("ada", "the price of a circus")


def cache() -> Cache:
    """A cache like that of any other process."""
    return Cache("test", seconds=60, own_seconds=60, make_seconds=20, wait_seconds=15)


def ask(redis_url: str, begin: float, made: str) -> None:
    """Ask at the time `begin`, and print the value. Whoever makes it adds a line to a file."""

    def make() -> list[str]:
        with Path(made).open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        return ["7", "EUR"]

    caching.share(redis_url, lambda *_: None)
    own = cache()
    time.sleep(max(0.0, begin - time.time()))
    sys.stdout.write(",".join(own.get(KEY, make)))
    sys.stdout.flush()
