"""Books what lines have cost whose steps do not want them any more, and lets go of their answers.

A step that takes its answer books it itself. What is left is that of steps which were cancelled,
have timed out or failed, also of workflows that have ended, and of those that were archived since.
"""

import time
from uuid import UUID

import structlog

from app import db
from app.archive.restoring import restore
from app.batches import rows
from app.errors import Conflict, NotFound, Unavailable

log = structlog.get_logger()

_AT_ONCE = 1000
_ONE_BY_ONE = 200


def settle(until: float) -> int:
    """Settle lines until `time.monotonic()` is `until`; how many."""
    total, now = 0, _AT_ONCE
    while now == _AT_ONCE and time.monotonic() < until:
        now = rows.settle_booked(_AT_ONCE)
        total += now
    for line, workflow in rows.unwanted(_ONE_BY_ONE):
        try:
            total += _settle(line, workflow)
        except db.UNABLE as err:
            # Somebody holds the workflow, for example. The next pass tries again.
            log.warning("batches.not_settled", line=str(line), error=str(err).strip()[:200])
    return total


def _settle(line: UUID, workflow: UUID) -> bool:
    verdict = rows.settle(line)
    if verdict == "gone":
        try:
            restore(workflow, "batches")
        except (NotFound, Conflict):
            # Erased: the cost stands in the row of the line, until that is trimmed.
            log.error("batches.paid_after_erasure", line=str(line), workflow=str(workflow))
            rows.write_off(line)
            return True
        except Unavailable as err:
            log.warning("batches.not_restored", workflow=str(workflow), why=err.message)
            return False
        verdict = rows.settle(line)
    return verdict == "settled"
