"""Compiles plans into rows and into Celery canvases. Pure: it reads and publishes nothing.

A canvas contains a step and the steps that follow it one by one, up to and including the next
parallel block and its join. The worker that runs the last of these steps dispatches the steps
after it. Messages contain ids only.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from celery import Celery, Signature, chain, chord, group

import tasks
from app.broker.links import SIBLINGS, queue_of, task_id
from app.keys import (
    body_prefix,
    concrete,
    indexes_of,
    is_open,
    is_orphan,
    step_of,
    template_of,
    undo_of,
)
from chains.language.definition import Step
from chains.plans.plan import BRANCHING, Plan, PlannedStep

MAX_LINKS = 20
TOGETHER = 25
"""The most siblings that share one message. Only steps of quick actions share messages."""
DEFAULT_PRIORITY = 5


def first_rows(plan: Plan, asked: Mapping[str, list[str]] | None = None) -> list[dict[str, Any]]:
    """The rows with which a workflow starts: all except those in the bodies of maps and loops.

    `asked`: the addresses that approvals will ask, by their keys (see `asked_at_start`).
    """
    rows = [
        _row(step, (), is_released=step.key in plan.heads)
        for step in plan.steps.values()
        if step.body_key is None
    ]
    if asked:
        return [{**row, "asked": asked.get(row["key"])} for row in rows]
    return rows


def body_rows(
    plan: Plan, block_key: str, items: list[Any], first: int, window: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the bodies of a map or loop, and the keys of those that are released at once.

    `block_key` is the concrete key of the map or loop. There is one body for each of `items`; the
    bodies are numbered from `first`. The first steps of the first `window` bodies are released.
    """
    block = template_of(block_key)
    body = plan.body(block)
    head_names = {body_prefix(block) + head for head in plan.steps[block].item_heads}
    outer = indexes_of(block_key)
    rows, heads = [], []
    for index, item in enumerate(items, first):
        in_window = index - first < window
        for step in body:
            is_head = in_window and step.key in head_names
            row = _row(step, (*outer, index), is_released=is_head)
            rows.append({**row, "item": item} if step.carries_item else row)
            if is_head:
                heads.append(row["key"])
    return rows, heads


def _row(step: PlannedStep, indexes: tuple[int, ...], *, is_released: bool) -> dict[str, Any]:
    row = {
        "key": concrete(step.key, indexes),
        "position": step.position,
        "action": step.action,
        "role": step.role,
        "next_keys": [concrete(after, indexes) for after in step.next_keys] or None,
        "join_key": concrete(step.join_key, indexes) if step.join_key else None,
        "item_heads": list(step.item_heads) or None,
        "remaining": step.remaining,
        "released": is_released,
    }
    return {name: value for name, value in row.items() if value is not None}


class Compiler:
    """Makes the canvases of one workflow."""

    def __init__(
        self, app: Celery, plan: Plan, workflow_id: UUID, priority: int = DEFAULT_PRIORITY
    ) -> None:
        self.app = app
        self.plan = plan
        self.workflow_id = workflow_id
        self.priority = priority

    def canvas(self, keys: Iterable[str]) -> Signature[Any] | None:
        """The canvas that publishes the steps `keys`; None if there are no keys.

        Each step gets a message with its own path (see `path`), but siblings with a quick action
        share a message. Steps that all lead to the same join become a chord with that join; other
        steps become a group.
        """
        keys = list(keys)
        messages = self._messages(keys)
        if not messages:
            return None
        if len(messages) == 1:
            return self.path(*messages[0])
        join = self._common_join(keys)
        if join is not None:
            return chord([self._links(*each) for each in messages], self.path(join), app=self.app)
        return group([self.path(*each) for each in messages], app=self.app)

    def path(self, key: str, *siblings: str) -> Signature[Any]:
        """The canvas of a step and its siblings, the steps that follow, and the join at the end."""
        links, last = self._walk(key, *siblings)
        following = self._following(last, len(links))
        if following is not None:
            return chain(*links, following, app=self.app)
        canvas = links[0] if len(links) == 1 else chain(*links, app=self.app)
        if last.join_key is not None:
            canvas.options.update(chord=self.path(concrete(last.join_key, indexes_of(key))))
        return canvas

    def undo(self, key: str) -> Signature[Any]:
        """The message of a compensation; `key` is the key of the compensation's own row.

        It contains no further steps: the next compensations are chosen when this one is recorded.
        """
        step = self.plan.step(step_of(key))
        other = None if is_orphan(key) else step.other_compensation
        action = undo_of(step.action) if other is None else other.action
        return self._signature(key, action)

    def one_message(self, keys: Iterable[str]) -> str | None:
        """The action of the steps `keys` if a single message carries them all, otherwise None."""
        messages = self._messages(list(keys))
        return self.plan.step(messages[0][0]).action if len(messages) == 1 else None

    def queues(self, keys: Iterable[str]) -> Counter[str]:
        """How many messages the steps `keys` need in each queue."""
        messages = self._messages(list(keys))
        return Counter(queue_of(self.plan.step(each[0]).action) for each in messages)

    def _messages(self, keys: list[str]) -> list[tuple[str, ...]]:
        """Divide the steps `keys` among messages; return the keys of each message."""
        messages: dict[tuple[str, str, int], list[str]] = {}
        for key in keys:
            step = self.plan.step(key)
            own = step.join_key is None or step.next_keys or not _is_quick(step.action)
            place = key if own else concrete(step.join_key or "", indexes_of(key))
            messages.setdefault((place, step.action, self._priority(key)), []).append(key)
        return [part for together in messages.values() for part in _evenly(together)]

    def _walk(self, key: str, *siblings: str) -> tuple[list[Signature[Any]], PlannedStep]:
        """The chain that starts with `key` and continues while a step releases exactly one step.

        Return (the signatures, the last step).
        """
        indexes = indexes_of(key)
        steps = list(self._chain(key))
        links = [self._signature(key, steps[0].action, *siblings)]
        links += [self._signature(concrete(step.key, indexes), step.action) for step in steps[1:]]
        return links, steps[-1]

    def _chain(self, key: str) -> Iterator[PlannedStep]:
        step = self.plan.step(key)
        yield step
        for _ in range(MAX_LINKS - 1):
            if len(step.next_keys) != 1 or step.action in BRANCHING:
                return
            step = self.plan.steps[step.next_keys[0]]
            yield step

    def _links(self, key: str, *siblings: str) -> Signature[Any]:
        links, _ = self._walk(key, *siblings)
        return links[0] if len(links) == 1 else chain(*links, app=self.app)

    def _following(self, last: PlannedStep, count: int) -> Signature[Any] | None:
        """The canvas of the parallel block after the step `last`.

        None if no parallel block follows, or if this canvas has its `MAX_LINKS` already.
        """
        if len(last.next_keys) < 2 or count >= MAX_LINKS:
            return None
        keys = [concrete(key, ()) for key in last.next_keys]
        if any(is_open(key) for key in keys) or self._common_join(keys) is None:
            return None
        return self.canvas(keys)

    def _common_join(self, keys: list[str]) -> str | None:
        """The join that follows the chain of each of `keys`; None if the joins differ or one is
        missing."""
        joins = set()
        for key in keys:
            *_, last = self._chain(key)
            if last.join_key is None:
                return None
            joins.add(concrete(last.join_key, indexes_of(key)))
        return joins.pop() if len(joins) == 1 else None

    def _signature(self, key: str, action: str, *siblings: str) -> Signature[Any]:
        options: dict[str, Any] = {
            "queue": queue_of(action),
            "task_id": str(task_id(self.workflow_id, key)),
        }
        priority = self._priority(key)
        if priority != DEFAULT_PRIORITY:
            # The highest priority is 9 in Playalter and 0 in Redis.
            options["priority"] = 9 - priority
        if siblings:
            # A worker of an older release ignores this header and runs only the first step. The
            # reconciler then publishes the other steps.
            options["headers"] = {SIBLINGS: [key, *siblings]}
        return self.app.signature(
            action, args=(str(self.workflow_id), key), immutable=True, options=options
        )

    def _priority(self, key: str) -> int:
        step = self.plan.step(step_of(key))
        own = step.node.priority if isinstance(step.node, Step) else None
        return own or self.priority


def _is_quick(action: str) -> bool:
    found = tasks.actions().get(action)
    return found is not None and found.quick


def _evenly(keys: list[str]) -> Iterator[tuple[str, ...]]:
    count = -(-len(keys) // TOGETHER)
    for number in range(count):
        yield tuple(keys[number * len(keys) // count : (number + 1) * len(keys) // count])
