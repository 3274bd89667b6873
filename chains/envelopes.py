"""The message of a start, made once for a definition and then addressed to each of its workflows.

Celery and kombu make it; what is written into its text afterwards is the ids, all of which must be
known: a message that holds others (a chord's, say) is left to them every time.
"""

import base64
import json
import re
import threading
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from kombu import Connection
from uuid_utils.compat import uuid4

from app.broker.celery import celery_app
from app.broker.links import queue_of, task_id
from chains import registry
from chains.plans.compiler import Compiler

PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""kombu keeps a list for each priority step; the first has the queue's own name."""

_PRIORITY_STEPS = (0, 3, 6, 9)
_ID = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_SAMPLE = UUID("00000000-0000-7000-8000-706c6179616c")
_BODY = "playalter-body"

Name = Callable[[UUID], str]


@dataclass(frozen=True)
class Text:
    """Words, and between them the ids of a workflow."""

    words: tuple[str, ...]
    ids: tuple[Name, ...]

    @classmethod
    def of(cls, text: str, names: dict[str, Name]) -> "Text | None":
        """The text of a sample; None if it holds an id that is not among `names`."""
        parts = _ID.split(text)
        ids = tuple(names.get(found) for found in parts[1::2])
        known = tuple(each for each in ids if each is not None)
        return cls(tuple(parts[::2]), known) if len(known) == len(ids) else None

    def write(self, workflow_id: UUID) -> str:
        """The text of a workflow."""
        written = [self.words[0]]
        for name, words in zip(self.ids, self.words[1:], strict=True):
            written += (name(workflow_id), words)
        return "".join(written)


@dataclass(frozen=True)
class Envelope:
    """A message as it stands in Redis, and the list that it is pushed to."""

    list: str
    around: Text
    body: Text

    def addressed(self, workflow_id: UUID) -> str:
        """The message of a workflow, with a delivery tag of its own."""
        body = base64.b64encode(self.body.write(workflow_id).encode()).decode()
        return self.around.write(workflow_id).replace(_BODY, body, 1)


@lru_cache(maxsize=512)
def envelope(type: str, version: int, priority: int) -> Envelope | None:
    """What starts a workflow of this version, where that is one message whose ids are all known."""
    plan = registry.plan(type, version)
    compiler = Compiler(celery_app(), plan, _SAMPLE, priority)
    action = compiler.one_message(plan.heads)
    canvas = compiler.canvas(plan.heads)
    if action is None or canvas is None:
        return None
    queue = queue_of(action)
    message = _sent(canvas, queue)
    if message is None:
        return None
    properties = message["properties"]
    names: dict[str, Name] = {str(task_id(_SAMPLE, key)): _task(key) for key in plan.steps}
    names[str(_SAMPLE)] = str
    names[properties["delivery_tag"]] = _fresh
    # Nobody answers to it: it names this thread, and may stay as it is.
    names[properties["reply_to"]] = _always(properties["reply_to"])
    body = Text.of(base64.b64decode(message["body"]).decode(), names)
    around = Text.of(json.dumps(message | {"body": _BODY}), names)
    if body is None or around is None:
        return None
    step = bisect(_PRIORITY_STEPS, properties.get("priority") or 0) - 1
    return Envelope(queue + PRIORITIES[step], around, body)


_sending = threading.Lock()


def _sent(canvas: Any, queue: str) -> dict[str, Any] | None:
    """What kombu would put into Redis for it, if that is one message for `queue`."""
    # The queues of kombu's memory are one for the process.
    with _sending, Connection("memory://") as connection:
        channel: Any = connection.default_channel
        channel._purge(queue)
        canvas.apply_async(connection=connection)
        messages: list[dict[str, Any]] = [channel._get(queue) for _ in range(channel._size(queue))]
    return messages[0] if len(messages) == 1 else None


def _task(key: str) -> Name:
    return lambda workflow_id: str(task_id(workflow_id, key))


def _fresh(_: UUID) -> str:
    return str(uuid4())


def _always(id: str) -> Name:
    return lambda _: id
