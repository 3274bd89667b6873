"""What a definition says of one step before it runs: input, policy, and what its end leads to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.engine.retry import RetryPolicy
from app.errors import Permanent
from app.platform import Json


@dataclass(frozen=True)
class Tolerance:
    """What a failure for good comes to where it does not fail the workflow: the step's status and
    output, and what else that does (see `finish_step_v1`)."""

    status: str
    output: Any = None
    turn: Json | None = None


@dataclass(frozen=True)
class Prepared:
    """What the definition says of one step: input, policy, and what its end leads to."""

    input: Any
    policy: RetryPolicy | None = None
    timeout_seconds: float | None = None
    attempt_seconds: float | None = None
    is_recorded: bool = True
    is_skipped: bool = False
    """The step is passed over: its condition does not hold, or a person asked for it."""
    is_resolved: bool = False
    """A person has said what the step's output is; nothing is called."""
    output: Any = None
    error: Json | None = None
    """Beside a success: what went wrong on the way to it."""
    turn: Json | None = None
    """What its end does beside releasing what follows (see `finish_step_v1`)."""
    workflow_output: Callable[[Any, str, Json | None], Json | None] | None = None
    """Makes the workflow's output of its last step's output, status and error."""
    tolerance: Tolerance | None = None
    is_holding: bool = False
    pivot: str | None = None
    is_pivot: bool = False
    is_other_action: bool = False
    """A compensation by another action, which runs like any step."""
    fault: Permanent | None = None
    """Why the input could not be made."""
    checked_with: Callable[[str], str | None] | None = None
    """The fingerprint of an action's input as the definition was checked with it (see
    app/engine/releases.py)."""
