"""The names of orphan effects: what works at a vendor for a step and is not the step's own.

Each is a row `<step>~orphan[<external id>]` with a compensation of its own, which takes it back.
"""

from app.engine.call import ORPHAN_MARK, UNDO_SUFFIX
from app.platform import Json


def is_orphan(key: str) -> bool:
    """Whether a row of this key stands for an orphan effect, or takes one back.

    >>> is_orphan("swap[3].render~orphan[p1]~undo"), is_orphan("swap[3].render~undo")
    (True, False)
    """
    return ORPHAN_MARK in key


def step_of(key: str) -> str:
    """The step for which a row of an orphan, or of a compensation, stands.

    >>> step_of("swap[3].render~orphan[p1]~undo"), step_of("pay~undo"), step_of("pay")
    ('swap[3].render', 'pay', 'pay')
    """
    return key.partition(ORPHAN_MARK)[0].removesuffix(UNDO_SUFFIX)


def orphan(step_key: str, external_id: str) -> Json:
    """An orphan of the step, as `add_orphan_v1` takes it."""
    key = f"{step_key}{ORPHAN_MARK}{external_id}]"
    return {
        "external_id": external_id,
        "key": key,
    }
