"""The links of a canvas that a message carries, and how a worker takes the next of them.

A canvas is Celery's plan of which task follows which; a link is one task of it. To take a link is
to run it within the current message, instead of publishing a message for it. The chord, group and
callbacks of a taken link are moved from its signature into the current request. Otherwise Celery
would not report the link to its join.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from celery import Task

SIBLINGS = "siblings"
"""The header of a message for several steps. It has the keys of all of them, also the key that is
in the message's arguments."""


_HIGH = ((1 << 64) - 1) << 64
_VERSION, _VARIANT = 0xF << 76, 0x3 << 62
_VARIANTS = {f"{digit:x}": f"{digit & 0x3 | 0x8:x}" for digit in range(16)}
"""The first digit of the second half of a UUID, by what a hash has there."""


def task_id(workflow_id: UUID, key: str) -> UUID:
    """Celery's task id of a step, which is the same at every compilation.

    It begins with the first half of the workflow's id, and ends with a hash of the workflow's id
    and the step's key. It is a UUID of version 8 (RFC 9562).

    >>> task_id(UUID("01890a5d-ac96-774b-bcce-b302099a8057"), "swap[3].render")
    UUID('01890a5d-ac96-874b-9b7e-a39b1c8a6e31')
    """
    return UUID(int=_task_number(workflow_id, key))


def task_id_texts(workflow_id: UUID, keys: Iterable[str]) -> list[str]:
    """The texts of what `task_id` makes for several steps, without objects made for them.

    >>> task_id_texts(UUID("01890a5d-ac96-774b-bcce-b302099a8057"), ["swap[3].render"])
    ['01890a5d-ac96-874b-9b7e-a39b1c8a6e31']
    """
    text, start = str(workflow_id), workflow_id.bytes
    high = f"{text[:14]}8{text[15:18]}"
    lows = (sha256(start + key.encode()).hexdigest() for key in keys)
    return [f"{high}-{_VARIANTS[low[0]]}{low[1:4]}-{low[4:16]}" for low in lows]


def _task_number(workflow_id: UUID, key: str) -> int:
    digest = sha256(workflow_id.bytes + key.encode()).digest()
    low = int.from_bytes(digest[:8], "big") & ~_VARIANT | 0x2 << 62
    return workflow_id.int & _HIGH & ~_VERSION | 0x8 << 76 | low


def workflows_of(task: UUID) -> list[tuple[UUID, UUID]]:
    """The ranges (first, last) in which the id of this task's workflow must lie.

    There is a range for each UUID version of workflow ids: 7, and 5 for child workflows.
    """
    high = task.int & _HIGH & ~_VERSION
    firsts = [high | version << 76 for version in (0x7, 0x5)]
    return [(UUID(int=first), UUID(int=first | ((1 << 64) - 1))) for first in firsts]


def serves(task: Task[..., Any], queue: str) -> bool:
    """Whether this worker reads the queue."""
    return queue in task.app.amqp.queues.consume_from


def is_in_thread_pool() -> bool:
    """Whether the task runs in a pool of threads, beside other tasks of the same process.

    In a pool of processes, and in the pool `solo`, each task runs in the main thread.
    """
    return threading.current_thread() is not threading.main_thread()


def queue_of(action: str) -> str:
    """The queue of an action, which has the name of the action's platform."""
    return action.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Next:
    """What one message would run: a Celery task, for one step or for several quick siblings."""

    name: str
    keys: tuple[str, ...]

    @property
    def queue(self) -> str:
        """The queue of the message."""
        return queue_of(self.name)


class Links:
    """The rest of the canvas in a message: the remaining links of its chain, and the chord to which
    the last link reports."""

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.request: Any = task.request

    def next_step(self) -> Next | None:
        """The next link with its siblings; None if there is none, or if it is a group or chord."""
        link = self._next()
        return None if link is None else _plain(link)

    def leads_to(self, keys: tuple[str, ...]) -> bool:
        """Whether the next link starts exactly the steps `keys`."""
        link = self._next()
        return link is not None and heads(link) == set(keys)

    def has_chord(self) -> bool:
        """Whether the current link is the last one and reports to a join in this message."""
        return self._next() is None and bool(self.request.chord)

    def take(self) -> None:
        """Make the next link the current one."""
        self._become(self.request.chain.pop())

    def join(self) -> None:
        """Mark the current link as the last part of its join to end.

        The result backend then publishes the body of the chord.
        """
        self.request.playalter_joined = True

    def next_join(self) -> Next | None:
        """The first link of the join in this message; None if one of its links is not a plain step.

        Call it only if `has_chord()`.
        """
        links = self._join_links()
        return None if any(_plain(link) is None for link in links) else _plain(links[0])

    def take_join(self) -> None:
        """Make the join's first link the current one, and its other links the rest of the chain."""
        options = self.request.chord.get("options", {})
        first, *rest = [dict(link) for link in self._join_links()]
        if options.get("chord"):
            last = rest[-1] if rest else first
            last["options"] = {**last["options"], "chord": options["chord"]}
        self.request.chain = rest[::-1] or None
        self._become(first)

    def drop(self) -> None:
        """Drop the rest of the canvas. Its steps are published again when they are released."""
        self.request.chain = None
        self.request.chord = None

    def _join_links(self) -> list[dict[str, Any]]:
        body = self.request.chord
        found: list[dict[str, Any]] = (
            body["kwargs"]["tasks"] if body.get("subtask_type") == "chain" else [body]
        )
        return found

    def _become(self, link: dict[str, Any]) -> None:
        options = link["options"]
        self.request.chord = options.get("chord")
        self.request.group = options.get("group_id")
        self.request.callbacks = options.get("link")
        self.request.errbacks = options.get("link_error")

    def _next(self) -> dict[str, Any] | None:
        chain = self.request.chain
        return chain[-1] if chain else None


def _plain(link: dict[str, Any]) -> Next | None:
    if link.get("subtask_type") is not None:
        return None
    return Next(link["task"], tuple(_keys(link)))


def _keys(link: dict[str, Any]) -> list[str]:
    siblings = (link["options"].get("headers") or {}).get(SIBLINGS)
    return list(siblings or [link["args"][1]])


def heads(signature: dict[str, Any]) -> set[str]:
    """The keys of the steps that a canvas starts with.

    >>> options = {"headers": {"siblings": ["a", "b"]}}
    >>> sorted(heads({"task": "control.noop", "args": ["w", "a"], "options": options}))
    ['a', 'b']
    """
    kind = signature.get("subtask_type")
    if kind == "chord":
        header = signature["kwargs"]["header"]
        return heads(header) if isinstance(header, dict) else _union(header)
    if kind == "group":
        return _union(signature["kwargs"]["tasks"])
    if kind == "chain":
        return heads(signature["kwargs"]["tasks"][0])
    return set(_keys(signature))


def _union(signatures: Iterable[dict[str, Any]]) -> set[str]:
    return {key for signature in signatures for key in heads(signature)}
