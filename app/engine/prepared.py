"""What a definition says about one step before it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.engine.retry import RetryPolicy
from app.errors import Permanent
from app.platform import Json


@dataclass(frozen=True)
class Tolerance:
    """How a step is recorded if its failure is tolerated, so that the workflow goes on.

    `turn` says what the step's end changes beside its own row (see `finish_step_v1`).
    """

    status: str
    output: Any = None
    turn: Json | None = None


@dataclass(frozen=True)
class Prepared:
    """What the definition says about one step: its input, its policy, and what its end leads to."""

    input: Any
    policy: RetryPolicy | None = None
    timeout_seconds: float | None = None
    attempt_seconds: float | None = None
    is_recorded: bool = True
    is_skipped: bool = False
    """The step is skipped: its condition is false, or a person has asked for it."""
    is_resolved: bool = False
    """A person has stated the step's output, and nothing is called."""
    output: Any = None
    error: Json | None = None
    """An error that is recorded although the step succeeds or is skipped."""
    turn: Json | None = None
    """What the step's end changes beside its own row (see `finish_step_v1`). None: the end
    only releases the step's successors."""
    no_room: Json | None = None
    """The error with which the step fails if the workflow has no room for the rows of its turn."""
    workflow_output: Callable[[Any, str, Json | None], Json | None] | None = None
    """Makes the workflow's output from its last step's output, status and error."""
    tolerance: Tolerance | None = None
    is_holding: bool = False
    pivot: str | None = None
    is_pivot: bool = False
    is_other_action: bool = False
    """The step is a compensation whose action is not that of the step that it undoes. It runs like
    any step."""
    is_again: bool = False
    """The step has run in an earlier turn of its loop, which was not enough. So it takes no known
    result: it could be that of the earlier turn."""
    fault: Permanent | None = None
    """Why the input could not be made."""
    checked_with: Callable[[str], str | None] | None = None
    """Takes an action's name, and returns the fingerprint that the action's input had when the
    definition was checked. None: it is not known (see app/engine/releases.py)."""
