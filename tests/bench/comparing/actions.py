"""Two actions that only a benchmark needs: an effect without a vendor, and a request that waits."""

import os

from app.engine.call import Call
from app.errors import Permanent
from app.outbound import http
from app.platform import Effect, Json, action
from chains.actions import actions
from tasks.control.actions import NoopInput

QUEUE = "bench"
WAITING_QUEUE = "calls"
"""Of what waits for answers: threads read it, not processes."""


@action("bench.once", input=NoopInput, effect=Effect.REPEATABLE)
def once(call: Call, given: NoopInput) -> Json:
    """An intent, recorded before nothing is sent, and an answer, which the action returns."""
    return call.once("nothing", given.model_extra or {}, lambda request, key: request, is_last=True)


@action("calls.wait", input=NoopInput, effect=Effect.NONE, slow=True)
def wait_for_answer(call: Call, given: NoopInput) -> Json:
    """One request through the HTTP seam to the server of tests/bench/machine/answering.py."""
    with http.operation(WAITING_QUEUE, "wait", repeatable=True):
        reply = http.send("GET", os.environ["BENCH_URL"])
    if reply.status != 200:
        raise Permanent(f"answered {reply.status}", code="bench_refused")
    return given.model_extra or {}


def register() -> None:
    """Make them known to this process, before its definitions are checked or its tasks made."""
    actions().update({each.name: each for each in (once, wait_for_answer)})
