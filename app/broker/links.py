"""The rest of the canvas that a running message carries, and taking its next link hand to hand.

A taken link's chord, group and callbacks move from its signature into the request: else its join
would never hear of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from celery import Task

SIBLINGS = "siblings"
"""The header of a message that is for several steps, its own among them."""


_HIGH = ((1 << 64) - 1) << 64
_VERSION, _VARIANT = 0xF << 76, 0x3 << 62


def task_id(workflow_id: UUID, key: str) -> UUID:
    """Celery's id of a step, the same at every compile: the first half of its workflow's id, then a
    hash; version 8 of RFC 9562.

    >>> task_id(UUID("01890a5d-ac96-774b-bcce-b302099a8057"), "swap[3].render")
    UUID('01890a5d-ac96-874b-9b7e-a39b1c8a6e31')
    """
    digest = sha256(workflow_id.bytes + key.encode()).digest()
    low = int.from_bytes(digest[:8], "big") & ~_VARIANT | 0x2 << 62
    return UUID(int=workflow_id.int & _HIGH & ~_VERSION | 0x8 << 76 | low)


def workflows_of(task: UUID) -> list[tuple[UUID, UUID]]:
    """The first and the last id that a workflow with this task may have, by the versions that
    their ids are of: 7, and 5 for children."""
    high = task.int & _HIGH & ~_VERSION
    firsts = [high | version << 76 for version in (0x7, 0x5)]
    return [(UUID(int=first), UUID(int=first | ((1 << 64) - 1))) for first in firsts]


def serves(task: Task[..., Any], queue: str) -> bool:
    """Whether this worker reads the queue."""
    return queue in task.app.amqp.queues.consume_from


def queue_of(action: str) -> str:
    """The queue of an action: its platform's."""
    return action.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Next:
    """What one message would carry: a Celery task and the steps (quick siblings, if several)
    it is run for."""

    name: str
    keys: tuple[str, ...]

    @property
    def queue(self) -> str:
        """Where its message would wait."""
        return queue_of(self.name)


class Links:
    """What follows in this message: the chain's remainder and the chord of its last link."""

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.request: Any = task.request

    def next_step(self) -> Next | None:
        """The next link, if it is a plain step (with its siblings)."""
        link = self._next()
        return None if link is None else _plain(link)

    def leads_to(self, keys: tuple[str, ...]) -> bool:
        """Whether the next link starts exactly the steps `keys`."""
        link = self._next()
        return link is not None and heads(link) == set(keys)

    def has_chord(self) -> bool:
        """Whether this link reports to a join that the message carries."""
        return self._next() is None and bool(self.request.chord)

    def take(self) -> None:
        """Take the next link into this request."""
        self._become(self.request.chain.pop())

    def join(self) -> None:
        """This was the join's last part: the result backend publishes the chord's body."""
        self.request.playalter_joined = True

    def next_join(self) -> Next | None:
        """The join that this message carries, if it begins a chain of plain steps."""
        links = self._join_links()
        return None if any(_plain(link) is None for link in links) else _plain(links[0])

    def take_join(self) -> None:
        """Take that join, with the chain behind it, into this request."""
        options = self.request.chord.get("options", {})
        first, *rest = [dict(link) for link in self._join_links()]
        if options.get("chord"):
            last = rest[-1] if rest else first
            last["options"] = {**last["options"], "chord": options["chord"]}
        self.request.chain = rest[::-1] or None
        self._become(first)

    def drop(self) -> None:
        """Let go of the rest: somebody else carries it on."""
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
    """The step keys that a canvas starts with.

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
