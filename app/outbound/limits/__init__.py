"""Limits: a call to a platform waits for its place under what the vendor allows.

A platform's client says under which limits a call falls (`Operation.demand`): by the vendor's own
names, with what is allowed at the start, from its settings. All workers share the limits and learn
them: a limit in an answer's headers replaces what is configured, a number of remaining calls only
lowers what is left, a 429 with a wait closes the limit for all until then, and a 429 without one
halves the rate, which then climbs again (core.py). A call takes its place under all of its limits,
or under none. The calls of a user that wait are told to ask again one behind the other, and not
behind those of other users; the rate, and the places in flight that become free, are handed out to
the users in turns (lanes.py). A step whose worker has died holds its place until the step calls the
platform again, or else until its call would have ended.

Of the calls to a platform at most a tenth may be those with which an attempt is repeated. Only the
first call of such an attempt counts: an attempt that needs many would never end.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from app import telemetry
from app.outbound import gates
from app.outbound.gates import Passing
from app.outbound.limits.limiter import Limiter, Place
from app.outbound.limits.stores import Shared, Stores
from app.outbound.scopes import Operation, current_scope, seconds_left

log = telemetry.logger(__name__)


@dataclass
class _Own:
    """The limiter of this process. Without an address, calls need no place."""

    redis_url: str | None = None
    limiter: Limiter | None = None


_own = _Own()
_lock = threading.Lock()


def share(redis_url: str) -> None:
    """Let all calls of this process and of its forked children keep to limits, which the processes
    with this Valkey share."""
    _own.redis_url = redis_url
    # A call that waits for its place must not count as slow in its circuit.
    gates.install(_pass, gates.MIDDLE, is_for_guarded=True)


def forget() -> None:
    """Let calls keep to no limits any more, and close the connections."""
    gates.remove(_pass)
    limiter, _own.limiter, _own.redis_url = _own.limiter, None, None
    if limiter is not None:
        limiter.close()


@contextmanager
def _pass(operation: Operation, call: Passing) -> Iterator[None]:
    """Make a call in the block, once it has its place under the operation's limits.

    Raises NotServed (`rate_limited`) if it would have to wait for long, and what the block raises.
    """
    limiter, scope, demand = _limiter(), current_scope(), operation.demand
    if limiter is None or demand is None:
        yield
        return
    left = seconds_left()
    payer = f"{operation.platform} {demand.account}".rstrip()
    place = limiter.take(
        operation.platform,
        demand,
        hold_seconds=min(left, 2 * operation.read_seconds),
        seconds_left=left,
        is_retry=scope is not None and scope.is_charged(payer),
        owner="" if scope is None else scope.owner,
        user="" if scope is None else scope.user,
    )
    if scope is not None:
        scope.charged.add(payer)
    try:
        yield
    finally:
        _give_back(limiter, place, call)


def _give_back(limiter: Limiter, place: Place, call: Passing) -> None:
    """Give the place back. An error is logged: it must not hide an answer that may be paid."""
    try:
        limiter.give_back(place, call.reply)
    except Exception as err:  # the call has been made, whatever fails here
        log.error("limits.not_noted", platform=place.platform, exc_info=err)


def _limiter() -> Limiter | None:
    if _own.limiter is None and _own.redis_url is not None:
        with _lock:
            if _own.limiter is None:
                _own.limiter = Limiter(Stores(Shared(_own.redis_url), uuid4().hex))
    return _own.limiter


def _renew() -> None:
    # The connections of the parent are not the child's.
    global _lock
    _own.limiter, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_renew)
