"""Does together what several threads of a process want at the same moment.

A round trip to PostgreSQL and a flushed commit cost more than the rows that they write. A thread
that comes alone does its own item at once, without waiting. Items that come meanwhile are done
together, by the thread of the first of them, as soon as that has ended. They do not wait long for
an item that is held up, by a lock for example: after PATIENCE_SECONDS they are done beside it.
Invariant: a thread goes on only when its own item was done, with its own result.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from app.errors import Unavailable

log = structlog.get_logger()

MOST_ITEMS = 64
MOST_BYTES = 256_000
PATIENCE_SECONDS = 2.0

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    """A thread's item that waits. `turn` is released when the thread goes on.

    It then has a result or an error, or leads a `group`, or else must do its item alone.
    """

    item: Item
    size: int
    turn: threading.Lock = field(default_factory=threading.Lock)
    group: "list[_Waiting[Item, Result]]" = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    error: Unavailable | None = None


class Batches(Generic[Item, Result]):
    """Batches of items of one kind; only items with the same key travel together.

    `one` does an item alone, and `many` does several in one transaction; it returns their results
    in the same order. If `many` raises an error, nothing was done, and each item is done alone.
    """

    def __init__(
        self,
        one: Callable[[Item], Result],
        many: Callable[[Sequence[Item]], Sequence[Result]],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._one, self._many, self._patience = one, many, patience_seconds
        self._guard = threading.Lock()
        self._queues: dict[Hashable, deque[_Waiting[Item, Result]]] = {}
        """The items that wait, by key. A key is there while one of its items is being done."""
        self._under_way: dict[Hashable, int] = {}
        """How many items that are done alone, and groups, are being done, by key."""

    def do(self, key: Hashable, item: Item, size: int = 0) -> Result:
        """Do an item, of `size` bytes, and return its result. Raises what `one` raises.

        Raises Unavailable if `many` does.
        """
        waiting = None
        with self._guard:
            queue = self._queues.get(key)
            if queue is None:
                self._queues[key], self._under_way[key] = deque(), 1
            else:
                waiting = _Waiting[Item, Result](item, size)
                waiting.turn.acquire()
                queue.append(waiting)
        while waiting is not None and not waiting.turn.acquire(timeout=self._patience):
            self._begin_beside(key, waiting)
        if waiting is None or len(waiting.group) == 1:
            try:
                return self._one(item)
            finally:
                self._pass_on(key)
        if waiting.group:
            self._lead(key, waiting.group)
        if waiting.error is not None:
            raise waiting.error
        return waiting.results[0] if waiting.results else self._one(item)

    def _lead(self, key: Hashable, group: list[_Waiting[Item, Result]]) -> None:
        """Do the items of a group, and let the other threads of the group go on."""
        try:
            results = self._many([each.item for each in group])
            for each, result in zip(group, results, strict=True):
                each.results.append(result)
        except Unavailable as err:
            for each in group:
                each.error = err
        except Exception as err:  # noqa: BLE001 - each thread does its item alone
            log.info("batch.divided", items=len(group), error=type(err).__name__)
        finally:
            self._pass_on(key)
            for each in group[1:]:
                each.turn.release()

    def _pass_on(self, key: Hashable) -> None:
        """Let the thread of the next item lead those that wait, as many as may travel together."""
        with self._guard:
            if not self._queues[key]:
                self._under_way[key] -= 1
                if not self._under_way[key]:
                    del self._queues[key], self._under_way[key]
                return
            self._let_lead(key)

    def _begin_beside(self, key: Hashable, waiting: _Waiting[Item, Result]) -> None:
        """Let the thread of an item that has waited long lead, if the item is the next."""
        with self._guard:
            queue = self._queues.get(key)
            if queue and queue[0] is waiting:
                self._under_way[key] += 1
                self._let_lead(key)

    def _let_lead(self, key: Hashable) -> None:
        queue, size = self._queues[key], 0
        leader = queue[0]
        while queue and len(leader.group) < MOST_ITEMS:
            size += queue[0].size
            if leader.group and size > MOST_BYTES:
                break
            leader.group.append(queue.popleft())
        leader.turn.release()
