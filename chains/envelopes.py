"""Makes the messages that start workflows from an envelope: a prepared message with gaps for ids.

Celery and kombu make one sample message for a version of a definition. For each workflow, the ids
in the sample's text are replaced, so the meaning of every id in it must be known. A message with
other ids, such as the id of a chord, gets no envelope: Celery makes it each time.
"""

import base64
import json
import re
import threading
from bisect import bisect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from kombu import Connection
from uuid_utils import uuid4

from app.broker.celery import celery_app
from app.broker.links import queue_of, task_id, task_id_texts
from app.broker.lists import PRIORITIES
from app.broker.published import HEADER, stamp
from chains import registry
from chains.plans.compiler import Compiler

_PRIORITY_STEPS = (0, 3, 6, 9)
_ID = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_SAMPLE = UUID("00000000-0000-7000-8000-706c6179616c")
_BODY = "playalter-body"
_SUFFIX = PRIORITIES[1][0]
"""What the suffix of a list begins with."""

MakeId = Callable[[UUID], str]
"""A function that makes an id for a message from the id of the workflow."""


@dataclass(frozen=True)
class Text:
    """A text with a gap for an id between each two of its constant `parts`.

    `ids` are those that stood there in the sample.
    """

    parts: tuple[str, ...]
    ids: tuple[str, ...]

    @classmethod
    def of(cls, sample: str) -> "Text":
        """Replace the ids in a sample's text by gaps."""
        parts = _ID.split(sample)
        return cls(tuple(parts[::2]), tuple(parts[1::2]))

    def write(self, ids: Mapping[str, str]) -> str:
        """The text with other ids, which are given by those of the sample."""
        written = [""] * (2 * len(self.ids) + 1)
        written[::2] = self.parts
        written[1::2] = [ids[each] for each in self.ids]
        return "".join(written)


@dataclass(frozen=True)
class Envelope:
    """A message with gaps, in the form that kombu stores in Redis, and the name of its list.

    `tasks` are those ids of the sample that belong to tasks, each with the key of its step.
    `others` says how each other id is made.
    """

    list: str
    around: Text
    body: Text
    tasks: dict[str, str]
    others: tuple[tuple[str, MakeId], ...]

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self.list.partition(_SUFFIX)[0]

    def addressed(self, workflow_id: UUID) -> str:
        """The text of the message for a workflow. Each call makes a new delivery tag."""
        ids = dict(zip(self.tasks, task_id_texts(workflow_id, self.tasks.values()), strict=True))
        for sample, make_id in self.others:
            ids[sample] = make_id(workflow_id)
        body = base64.b64encode(self.body.write(ids).encode()).decode()
        return self.around.write(ids).replace(_BODY, body, 1)


@lru_cache(maxsize=512)
def envelope(type: str, version: int, priority: int) -> Envelope | None:
    """The envelope for starts of this version.

    None if a start needs more than one message, or if the message contains an unknown id.
    """
    plan = registry.plan(type, version)
    compiler = Compiler(celery_app(), plan, _SAMPLE, priority)
    action = compiler.one_message(plan.heads)
    canvas = compiler.canvas(plan.heads)
    if action is None or canvas is None:
        return None
    queue = queue_of(action)
    # In a thread of its own: Celery would write the ids of the task that this thread runs into it.
    with ThreadPoolExecutor(1) as pool:
        message = pool.submit(_sent, canvas, queue).result()
    if message is None:
        return None
    properties = message["properties"]
    tasks = {str(task_id(_SAMPLE, key)): key for key in plan.steps}
    known: dict[str, MakeId] = {
        str(_SAMPLE): str,
        properties["delivery_tag"]: _fresh,
        message["headers"][HEADER]: stamp,
        # `reply_to` identifies this thread. No reply is ever sent, so all messages may share it.
        properties["reply_to"]: _always(properties["reply_to"]),
    }
    body = Text.of(base64.b64decode(message["body"]).decode())
    around = Text.of(json.dumps(message | {"body": _BODY}))
    found = {*body.ids, *around.ids}
    if not found <= tasks.keys() | known.keys():
        return None
    step = bisect(_PRIORITY_STEPS, properties.get("priority") or 0) - 1
    return Envelope(
        queue + PRIORITIES[step],
        around,
        body,
        {sample: key for sample, key in tasks.items() if sample in found},
        tuple((sample, make_id) for sample, make_id in known.items() if sample in found),
    )


_sending = threading.Lock()


def _sent(canvas: Any, queue: str) -> dict[str, Any] | None:
    """The message that kombu would store in Redis for the canvas.

    None unless the canvas sends one message in all, and sends it to `queue`.
    """
    # All threads of a process share kombu's in-memory queues, so only one thread may use them.
    with _sending, Connection("memory://") as connection:
        channel: Any = connection.default_channel
        channel._purge(queue)
        canvas.apply_async(connection=connection)
        messages: list[dict[str, Any]] = [channel._get(queue) for _ in range(channel._size(queue))]
    return messages[0] if len(messages) == 1 else None


def _fresh(_: UUID) -> str:
    return str(uuid4())


def _always(id: str) -> MakeId:
    return lambda _: id
