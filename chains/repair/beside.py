"""Runs what must not wait for a pass of the reconciler in threads of their own.

A pass may take longer than they can wait, and so may one of its statements that waits for a lock.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(loop: Callable[[threading.Event], None], name: str) -> Iterator[None]:
    """Run `loop(stopping)` in a thread of this name during the block.

    At its end `stopping` is set, and the block ends when the loop has returned.
    """
    stopping = threading.Event()
    thread = threading.Thread(target=loop, args=(stopping,), daemon=True, name=name)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
