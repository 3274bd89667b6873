"""The rest of the canvas that a running message carries, and taking its next link hand to hand.

A taken link's chord, group and callbacks move from its signature into the request: else its join
would never hear of it.
"""

import mmap
from collections.abc import Iterable
from typing import Any

from celery import Task, signals

# Made before the pool forks, so that its children see the flag of their parent.
_SHUTTING_DOWN = mmap.mmap(-1, 1)


@signals.worker_shutting_down.connect
def _flag_shutdown(**_: Any) -> None:
    _SHUTTING_DOWN[0] = 1


def is_shutting_down() -> bool:
    """True once the worker was asked to stop."""
    return _SHUTTING_DOWN[0] == 1


def served_queues(task: Task[..., Any]) -> Iterable[str]:
    """The queues that this worker reads."""
    return task.app.amqp.queues.consume_from


class Links:
    """What follows in this message: the chain's remainder and the chord of its last link."""

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.request: Any = task.request

    def next_step(self) -> tuple[str, str] | None:
        """(action, step key) of the next link, if it is a plain step that this worker serves."""
        link = self._next()
        if link is None or link.get("subtask_type") is not None:
            return None
        if link["options"].get("queue") not in served_queues(self.task):
            return None
        return link["task"], link["args"][1]

    def leads_to(self, keys: tuple[str, ...]) -> bool:
        """Whether the next link starts exactly the steps `keys`."""
        link = self._next()
        return link is not None and heads(link) == set(keys)

    def has_chord(self) -> bool:
        """Whether this link reports to a join that the message carries."""
        return self._next() is None and bool(self.request.chord)

    def take(self) -> None:
        """Take the next link into this request."""
        options = self.request.chain.pop()["options"]
        self.request.chord = options.get("chord")
        self.request.group = options.get("group_id")
        self.request.callbacks = options.get("link")
        self.request.errbacks = options.get("link_error")

    def join(self) -> None:
        """This was the join's last part: the result backend publishes the chord's body."""
        self.request.playalter_joined = True

    def drop(self) -> None:
        """Let go of the rest: somebody else carries it on."""
        self.request.chain = None
        self.request.chord = None

    def _next(self) -> dict[str, Any] | None:
        chain = self.request.chain
        return chain[-1] if chain else None


def heads(signature: dict[str, Any]) -> set[str]:
    """The step keys that a canvas starts with.

    >>> heads({"task": "control.noop", "args": ["w", "a"]})
    {'a'}
    """
    kind = signature.get("subtask_type")
    if kind == "chord":
        header = signature["kwargs"]["header"]
        return heads(header) if isinstance(header, dict) else _union(header)
    if kind == "group":
        return _union(signature["kwargs"]["tasks"])
    if kind == "chain":
        return heads(signature["kwargs"]["tasks"][0])
    return {signature["args"][1]}


def _union(signatures: Iterable[dict[str, Any]]) -> set[str]:
    return {key for signature in signatures for key in heads(signature)}
