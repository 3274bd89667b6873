"""Turns of users, for all processes of a worker: each user has one, which is taken without waiting.

They are locks of the kernel on the bytes of a file without a name, so that the death of a process
gives them back.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

_MOST = 2**40
"""So many turns there are. Two users with the same turn are not worth a thought."""


class Turns:
    """The turns in the process that makes them, its threads, and the processes forked from it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken: set[int] = set()
        self._file = os.memfd_create("turns")

    @contextmanager
    def taken(self, user: UUID) -> Iterator[bool]:
        """Take the user's turn for the block. Yields whether it was free."""
        turn = user.int % _MOST
        if not self._take(turn):
            yield False
            return
        try:
            yield True
        finally:
            with self._guard:
                self._taken.discard(turn)
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, turn)

    def _take(self, turn: int) -> bool:
        with self._guard:
            # A lock on the file belongs to the whole process, not to a thread.
            if turn in self._taken:
                return False
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, turn)
            except BlockingIOError:
                return False
            self._taken.add(turn)
            return True
