"""The dispatcher of flow control: admits the workflows that wait for their start, and begins them.

Whoever accepts a start, and whoever ends a workflow, lets a thread of its process dispatch. The
reconciler does it twice a second, for processes that were lost. Any number of processes may
dispatch at once; in each pool one admits at a time. Each dispatches until nothing more can be
admitted, so what another process has freed or accepted meanwhile is not overlooked.
"""

import structlog
from redis.exceptions import RedisError

from app import db
from app.errors import TooMany, Unavailable
from chains.feeder import Feeder
from chains.starting.beginning import begin_all

log = structlog.get_logger()

BATCH = 50
"""So many starts are admitted at once."""
_MOST_ROUNDS = 1000
_HELD_SECONDS = 0.02
"""The pause if others hold what could be admitted."""
_UNABLE_SECONDS = 1.0
_LONGEST_SECONDS = 60.0
_NAME = "flow"


def dispatch_soon(seconds: float = 0.0) -> None:
    """Let a thread of this process dispatch, after so many seconds at the latest."""
    _feeder.want(_NAME, seconds)


def dispatch() -> float | None:
    """Admit and begin all that can be admitted now. Errors are logged.

    Return after how many seconds there may be more; None if nobody knows.
    """
    try:
        return _dispatch()
    except (*db.AWAY, Unavailable, RedisError, OSError) as err:
        log.warning("flow.unable", error=str(err).strip()[:200])
    except Exception as err:  # the caller runs steps, which must go on
        log.error("flow.failed", exc_info=err)
    return _UNABLE_SECONDS


def forget() -> None:
    """Dispatch no more in this process, until it is wanted again."""
    _feeder.rest()


def lane_is_full(type: str) -> TooMany:
    """The error of a start whose lane has as many starts as may wait in it."""
    return TooMany(
        f"nothing was started: too many starts of {type} wait in this lane (see `depth` of its"
        " flow control); try again when some of them have started",
        code="lane_full",
    )


def _dispatch_and_want(_: str) -> None:
    pause = dispatch()
    if pause is not None:
        _feeder.want(_NAME, min(max(pause, 0.0), _LONGEST_SECONDS))


def _dispatch() -> float | None:
    for _ in range(_MOST_ROUNDS):
        row = db.row("SELECT * FROM flow_pools_v1(%s)", (BATCH * 2,))
        assert row is not None
        if not row["pools"]:
            pause: float | None = row["pause"]
            return pause
        verdicts = {_admit(pool) for pool in row["pools"]}
        if verdicts == {"busy"}:
            # Who admits there now looks at everything again afterwards.
            return None
        if not verdicts & {"more", "done"}:
            return _HELD_SECONDS
    return 0.0


def _admit(pool: int) -> str:
    """Admit a batch of starts of a pool, and begin them; return the verdict."""
    row = db.row("SELECT * FROM admit_starts_v1(%s, %s)", (pool, BATCH))
    assert row is not None
    begin_all(row["workflow_ids"])
    return str(row["verdict"])


_feeder = Feeder(_dispatch_and_want, "flow")
"""Dispatches, so that no step and no request waits for it."""
