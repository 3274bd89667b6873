"""Prepares steps in a worker so that no user's expressions take more than a share of its time.

The processor's time is measured when a step is prepared, and when the output of its workflow is
made, that of the child process for what is heavy included (see evaluating.py). A step
whose expressions were heavy lately may have to wait before they are evaluated. A step whose input
is recorded never waits, because its expressions were evaluated; nor does a compensation, a lookup,
a poll, or a step of which a call was recorded.

In all processes and threads of a worker, the heavy expressions of only one step of a user are
evaluated at a time. So the others are free for other users' steps, although many heavy steps come
at once. A step that proves to be heavy while another one is evaluated breaks off, and waits.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from app import garbage
from app.aside.child import thread_time
from app.engine.prepared import Prepared
from app.engine.reserving import PutOff
from app.keys import template_of
from app.platform import Json
from app.protocol.claims import Claim, Fenced
from app.protocol.shares import CALLED, WAITS_FOR_SHARE, await_share
from chains.running import effort
from chains.running.evaluating import heavy_aside
from chains.running.reading import records
from chains.running.shares import HEAVY_SECONDS, Kind, Shares
from chains.running.turns import Turns

ROW_SECONDS = 50e-6
"""What adding a row of a map or a loop takes, most of it in PostgreSQL."""

Prepare = Callable[[Claim], Prepared]


def fairly(prepare: Prepare, shares: Shares, turns: Turns) -> Prepare:
    """`prepare`, which raises PutOff for a step that must wait for its user's share.

    It also raises Fenced if the claim of such a step is lost, and Unavailable if PostgreSQL does
    not come back in time. `turns` are those of all processes of the worker.
    """
    garbage.measure_collections()
    return _Fairly(prepare, shares, turns).prepared


class _TurnTaken(Exception):
    """Another heavy step of the user is being prepared in a process of this worker."""


class _Fairly:
    def __init__(self, prepare: Prepare, shares: Shares, turns: Turns) -> None:
        self._prepare = prepare
        self._shares = shares
        self._turns = turns

    def prepared(self, claim: Claim) -> Prepared:
        # A process reads a definition once, which is no work of the step that comes first. If it
        # cannot be read, the preparation says so.
        with suppress(ValidationError):
            records().plan(claim.type, claim.version)
        kind = (claim.user_id, claim.type, claim.version, template_of(claim.key))
        if may_wait(claim):
            is_asked = self._shares.is_asked(kind, time.monotonic())
            pause = self._pause(claim, kind) if is_asked else None
            if pause is None:
                try:
                    return self._in_turn(claim, kind, is_known=is_asked)
                except _TurnTaken:
                    pause = self._shares.promise(kind, time.monotonic(), random.random())
            _put_off(claim, pause)
        return self._booked(claim, kind)

    def _pause(self, claim: Claim, kind: Kind) -> float | None:
        is_promised = claim.code == WAITS_FOR_SHARE
        now, fraction = time.monotonic(), random.random()
        return self._shares.pause(kind, now, fraction, is_promised=is_promised)

    def _in_turn(self, claim: Claim, kind: Kind, *, is_known: bool) -> Prepared:
        """Prepare the step in its user's turn, or raise _TurnTaken.

        The turn is taken first if the step is known to be heavy, else when it proves to be.
        """
        with ExitStack() as held:
            has_turn = False

            def take() -> None:
                nonlocal has_turn
                if not has_turn and not held.enter_context(self._turns.taken(claim.user_id)):
                    raise _TurnTaken
                has_turn = True

            if is_known:
                take()
            return self._booked(claim, kind, take, is_known=is_known)

    def _booked(
        self,
        claim: Claim,
        kind: Kind,
        tell: Callable[[], None] = lambda: None,
        *,
        is_known: bool = False,
    ) -> Prepared:
        """Prepare the step, and book what it takes. `tell` is called once it proves to be heavy."""
        shares, is_more = self._shares, claim.input is not None
        with (
            _booked(shares, kind, is_more=is_more),
            heavy_aside(tell, are_known=is_known),
        ):
            found = self._prepare(claim)
        rows = len((found.turn or {}).get("steps", ()))
        shares.use(kind, rows * ROW_SECONDS, time.monotonic(), is_more=True)
        make = found.workflow_output
        if make is None:
            return found

        def output(value: Any, status: str, error: Json | None) -> Json | None:
            with _booked(shares, kind, is_more=True), heavy_aside():
                return make(value, status, error)

        return replace(found, workflow_output=output)


def may_wait(claim: Claim) -> bool:
    """Whether a claimed step may wait for its user's share, unless a call of it was recorded."""
    is_first = claim.prior == "pending" and claim.external_id is None and claim.input is None
    return is_first and not (claim.undo or claim.stopping or claim.skips or claim.expired)


def _put_off(claim: Claim, seconds: float) -> None:
    """Let the step wait, and raise PutOff or Fenced; return if it must not wait."""
    verdict = await_share(claim, seconds)
    if verdict == "fenced":
        raise Fenced
    if verdict != CALLED:
        raise PutOff(verdict)


@contextmanager
def _booked(shares: Shares, kind: Kind, *, is_more: bool) -> Iterator[None]:
    """Book the processor's time of the block, of its child process too, also if it raises.

    It is not more than what was read and evaluated can have taken.
    """
    began, most_before = thread_time(), effort.most_seconds()
    try:
        yield
    finally:
        most = effort.STEP_SECONDS + effort.most_seconds() - most_before
        seconds = min(thread_time() - began, most)
        shares.use(
            kind, seconds if seconds >= HEAVY_SECONDS else 0.0, time.monotonic(), is_more=is_more
        )
