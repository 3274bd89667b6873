"""Actions that call no platform: they do their work in the worker's own process."""

import time
from typing import Literal

from pydantic import ConfigDict, Field

from app.engine.call import Call
from app.errors import Permanent, Retryable, Unknown
from app.outbound import http
from app.platform import ActionInput, ActionOutput, Effect, Json, action

_LONGEST_SECONDS = 3600.0


class NoopInput(ActionInput):
    """Any fields; the action returns them."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


@action("control.noop", input=NoopInput, effect=Effect.NONE, quick=True)
def noop(call: Call, given: NoopInput) -> Json:
    """Return the input."""
    return given.model_extra or {}


class NoopOutput(ActionOutput):
    """The fields of the input."""

    model_config = ConfigDict(extra="allow", frozen=True)


noop.describe(output=NoopOutput, example={"text": {"any": "value"}, "number": 1})


class SleepInput(ActionInput):
    """How many seconds to sleep, at most an hour."""

    seconds: float = Field(ge=0, le=_LONGEST_SECONDS)


@action(
    "control.sleep",
    input=SleepInput,
    effect=Effect.NONE,
    attempt_seconds=_LONGEST_SECONDS + 60.0,
    slow=True,
)
def sleep(call: Call, given: SleepInput) -> Json:
    """Sleep, and return {seconds}; the step holds its worker slot meanwhile."""
    left = http.seconds_left()
    time.sleep(max(0.0, min(given.seconds, left)))
    if given.seconds > left:
        raise Retryable("the attempt's time was over", code="attempt_timed_out")
    return {"seconds": given.seconds}


class SleepOutput(ActionOutput):
    """How many seconds the step has slept."""

    seconds: float


sleep.describe(output=SleepOutput, example={"seconds": 2.5})


class FailInput(ActionInput):
    """The kind of failure and its message."""

    message: str = Field(default="asked to fail", min_length=1, max_length=500)
    kind: Literal["permanent", "retryable", "unknown"] = "permanent"


@action("control.fail", input=FailInput, effect=Effect.NONE, quick=True)
def fail(call: Call, given: FailInput) -> Json:
    """Raise an Outcome of the given kind."""
    outcome = {"permanent": Permanent, "retryable": Retryable, "unknown": Unknown}[given.kind]
    raise outcome(given.message, code="asked_to_fail")


fail.describe(output=None, example={"message": "the printer is on fire", "kind": "retryable"})
