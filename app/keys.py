"""Makes and parses the keys of steps. No other module parses a key.

    swap[3].render               a step: its path in the definition, with the number of the item or
                                 of the loop's turn
    swap~expand, tier~choose     the row that starts a block; the key of its join is the block's own
    retry[2]~until               the row that ends a turn of a loop
    swap[3].render~undo          the compensation of a step
    swap[3].render~orphan[p1]    an orphan: an effect at a vendor that its step does not own; its
                                 compensation has `~undo` added

A template is a key without the numbers: `swap[].render`. SQL parses no keys; what it needs to know
of a step has a column.
"""

import re
from typing import Any
from uuid import UUID

HOOK_STEP = "step"
"""The name under which the address of a webhook has the mark of the step that has asked for it."""
_EXPAND_SUFFIX = "~expand"
_CHOOSE_SUFFIX = "~choose"
_UNTIL_SUFFIX = "~until"
_UNDO_SUFFIX = "~undo"
_ORPHAN_MARK = "~orphan["
_CHILD_PREFIX = "workflow:"
_EVENT_PREFIX = "event:"
_INDEX = re.compile(r"\[(\d+)\]")


def reference(workflow_id: UUID, step_key: str) -> str:
    """The mark of a step in a vendor's metadata: `<workflow>/<step>`."""
    return f"{workflow_id}/{step_key}"


def workflow_of(reference: str) -> UUID | None:
    """The workflow of a step's mark; None if the text is no such mark.

    >>> workflow_of("01a2242f-a9bf-73cf-a48b-9c420711352f/take")
    UUID('01a2242f-a9bf-73cf-a48b-9c420711352f')
    """
    workflow, slash, step_key = reference.partition("/")
    try:
        return UUID(workflow) if slash and step_key else None
    except ValueError:
        return None


def template_of(key: str) -> str:
    """The key without its numbers.

    >>> template_of("swap[3].render")
    'swap[].render'
    """
    return _INDEX.sub("[]", key) if "[" in key else key


def indexes_of(key: str) -> tuple[int, ...]:
    """The numbers in a key, outermost first.

    >>> indexes_of("outer[2].inner[5].render")
    (2, 5)
    """
    return tuple(int(found) for found in _INDEX.findall(key))


def concrete(template: str, indexes: tuple[int, ...]) -> str:
    """Fill the template's numbers from the left. Further numbers stay empty.

    >>> concrete("outer[].inner[].render", (2, 5))
    'outer[2].inner[5].render'
    """
    if "[]" not in template:
        return template
    for index in indexes:
        template = template.replace("[]", f"[{index}]", 1)
    return template


def is_open(key: str) -> bool:
    """Whether the key lacks a number. No row has such a key.

    >>> is_open("outer[2].inner[].render"), is_open("outer[2].render")
    (True, False)
    """
    return "[]" in key


def name_of(key: str) -> str:
    """The name of a step, by which other steps of the same body refer to it.

    >>> name_of("swap[3].render"), name_of("render")
    ('render', 'render')
    """
    return key.rpartition(".")[2]


def expand_of(block: str) -> str:
    """The key of the row that starts a map or a loop.

    >>> expand_of("swap")
    'swap~expand'
    """
    return block + _EXPAND_SUFFIX


def choose_of(block: str) -> str:
    """The key of the row that chooses the alternative of a choice.

    >>> choose_of("tier")
    'tier~choose'
    """
    return block + _CHOOSE_SUFFIX


def until_of(block: str) -> str:
    """The template of the rows that end the turns of a loop.

    >>> until_of("retry")
    'retry[]~until'
    """
    return f"{block}[]{_UNTIL_SUFFIX}"


def body_prefix(block: str) -> str:
    """The prefix of the templates of all steps in the body of a map or a loop.

    >>> body_prefix("swap")
    'swap[].'
    """
    return f"{block}[]."


def item_key(block: str, index: int, head: str) -> str:
    """The key of a step in the body of a map or a loop.

    >>> item_key("swap", 3, "render")
    'swap[3].render'
    """
    return f"{block}[{index}].{head}"


def items_prefix(block: str) -> str:
    """The prefix of the keys of all items of a block.

    >>> items_prefix("swap")
    'swap['
    """
    return f"{block}["


def item_prefix(block_template: str, key: str) -> str:
    """The prefix of the keys of one item of a block: the item to which the row `key` belongs.

    >>> item_prefix("outer[].inner", "outer[2].inner[5].render")
    'outer[2].inner[5].'
    """
    return concrete(body_prefix(block_template), indexes_of(key))


def block_of(key: str) -> str:
    """The key of the block that the row `key` starts, or one of whose turns it ends.

    For a template, the block's template.

    >>> block_of("swap~expand"), block_of("retry[2]~until"), block_of("a[].retry[]~until")
    ('swap', 'retry', 'a[].retry')
    """
    if key.endswith(_UNTIL_SUFFIX):
        return key.removesuffix(_UNTIL_SUFFIX).rpartition("[")[0]
    return key.removesuffix(_EXPAND_SUFFIX).removesuffix(_CHOOSE_SUFFIX)


def adds_bodies(key: str) -> bool:
    """Whether the row adds the items of a map or the next turn of a loop when it succeeds.

    >>> adds_bodies("swap~expand"), adds_bodies("retry[2]~until"), adds_bodies("tier~choose")
    (True, True, False)
    """
    return key.endswith((_EXPAND_SUFFIX, _UNTIL_SUFFIX))


def ends_turn(key: str) -> bool:
    """Whether the row ends a turn of a loop.

    >>> ends_turn("retry[2]~until"), ends_turn("retry~expand")
    (True, False)
    """
    return key.endswith(_UNTIL_SUFFIX)


def undo_of(key: str) -> str:
    """The key of the compensation of a step or an orphan.

    For the name of an action: the name of the task that undoes it.

    >>> undo_of("pay"), undo_of("pay~orphan[p1]")
    ('pay~undo', 'pay~orphan[p1]~undo')
    """
    return key + _UNDO_SUFFIX


def is_undo(key: str) -> bool:
    """Whether the row with this key is a compensation.

    >>> is_undo("pay~undo"), is_undo("pay")
    (True, False)
    """
    return key.endswith(_UNDO_SUFFIX)


def undone_by(key: str) -> str:
    """The key of the row that a compensation undoes. For any other row, the key itself.

    >>> undone_by("pay~undo"), undone_by("pay~orphan[p1]~undo"), undone_by("pay")
    ('pay', 'pay~orphan[p1]', 'pay')
    """
    return key.removesuffix(_UNDO_SUFFIX)


def orphan_of(step_key: str, external_id: str) -> str:
    """The key of an orphan effect of the step.

    >>> orphan_of("swap[3].render", "p1")
    'swap[3].render~orphan[p1]'
    """
    return f"{step_key}{_ORPHAN_MARK}{external_id}]"


def orphan(step_key: str, external_id: str) -> dict[str, Any]:
    """An orphan of the step, as the SQL function `add_orphan_v1` takes it."""
    key = orphan_of(step_key, external_id)
    return {"external_id": external_id, "key": key, "undo_key": undo_of(key)}


def is_orphan(key: str) -> bool:
    """Whether the row with this key is an orphan or the compensation of one.

    >>> is_orphan("swap[3].render~orphan[p1]~undo"), is_orphan("swap[3].render~undo")
    (True, False)
    """
    return _ORPHAN_MARK in key


def step_of(key: str) -> str:
    """The key of the step to which an orphan or a compensation belongs. For a step, the key itself.

    >>> step_of("swap[3].render~orphan[p1]~undo"), step_of("pay~undo"), step_of("pay")
    ('swap[3].render', 'pay', 'pay')
    """
    return undone_by(key.partition(_ORPHAN_MARK)[0])


# External ids that Playalter makes itself, for waits that no vendor ends.


def timer_id(until: str) -> str:
    """The external id of a wait for a time."""
    return f"timer:{until}"


def child_id(workflow_id: UUID | str) -> str:
    """The external id of a wait for the end of a child workflow.

    The SQL function `tell_parent_v1` makes the same text.
    """
    return f"{_CHILD_PREFIX}{workflow_id}"


def child_of(external_id: str) -> UUID | None:
    """The child in an id made by `child_id`; None for any other external id.

    >>> child_of("workflow:01a2242f-a9bf-73cf-a48b-9c420711352f"), child_of("pred_1")
    (UUID('01a2242f-a9bf-73cf-a48b-9c420711352f'), None)
    """
    child = external_id.removeprefix(_CHILD_PREFIX)
    return UUID(child) if child != external_id else None


def event_wait_id(workflow_id: UUID, step_key: str, generation: int) -> str:
    """The external id of a step's wait for an event.

    >>> is_event_wait(event_wait_id(UUID(int=1), "paid", 0)), is_event_wait("pred_1")
    (True, False)
    """
    return f"{_EVENT_PREFIX}{workflow_id}:{generation}:{step_key}"


def is_event_wait(external_id: str) -> bool:
    """Whether an external id is that of a wait for an event."""
    return external_id.startswith(_EVENT_PREFIX)


def signal_id(workflow_id: UUID, name: str, step_key: str | None = None) -> str:
    """The external id of an approval's wait for a signal.

    Without a step's key, it is the id under which a signal is stored that comes before its approval
    waits.
    """
    own = "" if step_key is None else f":{step_key}"
    return f"signal:{workflow_id}:{name}{own}"


def signal_of(external_id: str) -> str:
    """The name of the signal in an id made by `signal_id`, with or without a step's key.

    >>> signal_of("signal:01890a5d:review:approve[2].ask")
    'review'
    """
    return external_id.split(":", 3)[2]
