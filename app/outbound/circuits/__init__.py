"""Circuit breakers: a platform's operation that does not work is not called for a while.

Each pair of a platform and an operation has a circuit (core.py), which all workers share; of an
operation that parts of the platform serve, for example models, each part has one
(`Operation.part`). While it is open, no call is made: NotServed lets the step wait without a slot,
and its tries do not count.

Only calls to a platform's own API pass a circuit. A guarded address was named by a user or in an
answer: it may be any host, and one host that does not work says nothing of the others. There is no
circuit for each host either. Anybody could open it for all others by calls that are meant to fail,
and hosts are without number; the deadline and the tries of a step bound what it costs.

Counted as failed are connections that fail, answers that do not come in time or are broken, and 5xx
(503 and 529 say overload), unless the operation knows better (`Operation.is_failure`). Any other
answer, a refusal or a limit too, shows that the platform works. What ends on our side, because the
attempt's time is over or the request cannot be made, is not counted.

A call that tries whether a platform serves again, and fails, says as little of its step as a call
that is not made. So NotServed is raised then too, unless the call may have taken effect. Otherwise
a step that alone calls a platform would use up its tries in an outage.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app import telemetry
from app.errors import Outcome, Retryable
from app.outbound import gates
from app.outbound.circuits.guard import Guard
from app.outbound.circuits.stores import Shared, Stores
from app.outbound.circuits.telling import tell
from app.outbound.gates import Passing
from app.outbound.scopes import CONNECT_SECONDS, MARGIN_SECONDS, Operation, seconds_left

log = telemetry.logger(__name__)

_FAILED = frozenset(("not_reached", "no_answer"))
"""The codes with which the seam says that a platform has not answered."""
_SERVED = frozenset(("answer_too_large",))


@dataclass
class _Own:
    """The guard of this process. Without an address, calls pass no circuit."""

    redis_url: str | None = None
    guard: Guard | None = None


_own = _Own()
_lock = threading.Lock()


def share(redis_url: str) -> None:
    """Let all calls of this process and of its forked children pass circuits, which the processes
    with this Valkey share."""
    _own.redis_url = redis_url
    # A call that is refused must take no place under a limit: that would be another call's.
    gates.install(_check, gates.FIRST)
    gates.install(_pass, gates.LAST)


def forget() -> None:
    """Let calls pass no circuit any more, and close the connections."""
    gates.remove(_check)
    gates.remove(_pass)
    guard, _own.guard, _own.redis_url = _own.guard, None, None
    if guard is not None:
        guard.close()


@contextmanager
def _check(operation: Operation, call: Passing) -> Iterator[None]:
    """Refuse a call whose circuit is open, before it takes a place under a limit."""
    guard = _guard()
    if guard is not None:
        guard.check(operation.circuit)
    yield


@contextmanager
def _pass(operation: Operation, call: Passing) -> Iterator[None]:
    """Make a call in the block if its circuit lets it through, and report how it ended.

    Raises NotServed (`circuit_open`) if it does not, and what the block raises.
    """
    guard = _guard()
    if guard is None:
        yield
        return
    # The platform has no fair chance to answer if less time than that is left of the attempt.
    fair = min(operation.slow_seconds, operation.read_seconds, CONNECT_SECONDS)
    is_short = seconds_left() < fair
    name = operation.circuit
    passage = guard.enter(name, operation.slow_seconds)
    is_served, why, is_harmless = None, "", operation.repeatable
    try:
        yield
        if call.reply is not None:
            is_served = not operation.is_failure(call.reply)
            why = f"it answered {call.reply.status}"
    except Outcome as err:
        if err.code in _SERVED:
            is_served = True
        elif err.code in _FAILED and not (is_short and seconds_left() < MARGIN_SECONDS):
            is_served, why = False, err.message
            is_harmless = isinstance(err, Retryable)
        raise
    finally:
        try:
            guard.leave(passage, is_served=is_served, why=why)
        except Exception as err:  # it must not hide an answer that may be paid
            log.error("circuits.not_counted", platform=operation.platform, exc_info=err)
        if passage.token and is_served is False and is_harmless:
            guard.check(name)


def _guard() -> Guard | None:
    if _own.guard is None and _own.redis_url is not None:
        with _lock:
            if _own.guard is None:
                _own.guard = Guard(Stores(Shared(_own.redis_url)), tell)
    return _own.guard


def _renew() -> None:
    # The thread and the connections of the parent are not the child's.
    global _lock
    _own.guard, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_renew)
