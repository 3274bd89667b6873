"""Keys: how a step's is made, and what it says. No other module takes one apart.

    swap[3].render               a step: its path in the definition, items and turns by their number
    swap~expand, tier~choose     what starts a block; the block's own key is its join
    retry[2]~until               what ends a turn of a loop
    swap[3].render~undo          a compensation
    swap[3].render~orphan[p1]    an effect at a vendor that is not the step's own, which a ~undo of
                                 it takes back

A template has its numbers left out, `swap[].render`. What SQL needs to know of a step is a column.
"""

import re
from typing import Any
from uuid import UUID

_EXPAND_SUFFIX = "~expand"
_CHOOSE_SUFFIX = "~choose"
_UNTIL_SUFFIX = "~until"
_UNDO_SUFFIX = "~undo"
_ORPHAN_MARK = "~orphan["
_INDEX = re.compile(r"\[(\d+)\]")


def template_of(key: str) -> str:
    """
    >>> template_of("swap[3].render")
    'swap[].render'
    """
    return _INDEX.sub("[]", key) if "[" in key else key


def indexes_of(key: str) -> tuple[int, ...]:
    """
    >>> indexes_of("outer[2].inner[5].render")
    (2, 5)
    """
    return tuple(int(found) for found in _INDEX.findall(key))


def concrete(template: str, indexes: tuple[int, ...]) -> str:
    """Fill the template's leading indexes.

    >>> concrete("outer[].inner[].render", (2, 5))
    'outer[2].inner[5].render'
    """
    if "[]" not in template:
        return template
    for index in indexes:
        template = template.replace("[]", f"[{index}]", 1)
    return template


def is_open(key: str) -> bool:
    """Whether a number is left out, so that no row has this key.

    >>> is_open("outer[2].inner[].render"), is_open("outer[2].render")
    (True, False)
    """
    return "[]" in key


def name_of(key: str) -> str:
    """A step's own name, by which other steps of its body may call it.

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
    """The key of the row that picks the way of a choice.

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
    """What the templates of the body of a map or a loop begin with.

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
    """What the keys of all items of a block begin with.

    >>> items_prefix("swap")
    'swap['
    """
    return f"{block}["


def item_prefix(block_template: str, key: str) -> str:
    """What the keys of one item of a block begin with: of the item in which the row `key` stands.

    >>> item_prefix("outer[].inner", "outer[2].inner[5].render")
    'outer[2].inner[5].'
    """
    return concrete(body_prefix(block_template), indexes_of(key))


def block_of(key: str) -> str:
    """The key of the block that a row belongs to which starts it or ends a turn of it; of a
    template, the block's template.

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
    """The key of the compensation of a step, or of an orphan; of an action, its task's name.

    >>> undo_of("pay"), undo_of("pay~orphan[p1]")
    ('pay~undo', 'pay~orphan[p1]~undo')
    """
    return key + _UNDO_SUFFIX


def is_undo(key: str) -> bool:
    """Whether a row of this key is a compensation.

    >>> is_undo("pay~undo"), is_undo("pay")
    (True, False)
    """
    return key.endswith(_UNDO_SUFFIX)


def undone_by(key: str) -> str:
    """The key of the row that a compensation undoes; of any other row, its own.

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
    """Whether a row of this key stands for an orphan effect, or takes one back.

    >>> is_orphan("swap[3].render~orphan[p1]~undo"), is_orphan("swap[3].render~undo")
    (True, False)
    """
    return _ORPHAN_MARK in key


def step_of(key: str) -> str:
    """The step for which a row of an orphan, or of a compensation, stands.

    >>> step_of("swap[3].render~orphan[p1]~undo"), step_of("pay~undo"), step_of("pay")
    ('swap[3].render', 'pay', 'pay')
    """
    return undone_by(key.partition(_ORPHAN_MARK)[0])


# External ids of our own: what a step waits for that no vendor has made.


def timer_id(until: str) -> str:
    """What a step waits for until an instant."""
    return f"timer:{until}"


def child_id(workflow_id: UUID | str) -> str:
    """What a step waits for while its child runs; the SQL function `tell_parent_v1` makes the
    same."""
    return f"workflow:{workflow_id}"


def signal_id(workflow_id: UUID, name: str, step_key: str | None = None) -> str:
    """What an approval waits for; without a step's key, where a signal is kept that came before its
    approval waits."""
    own = "" if step_key is None else f":{step_key}"
    return f"signal:{workflow_id}:{name}{own}"


def signal_of(external_id: str) -> str:
    """The name of the signal, of either id.

    >>> signal_of("signal:01890a5d:review:approve[2].ask")
    'review'
    """
    return external_id.split(":", 3)[2]
