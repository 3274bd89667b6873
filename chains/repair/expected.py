"""The rows that should exist according to the events of a workflow. Pure.

Claims, polls and lost claims log no event. So the status of a row may be later than its last event
says, and for some numbers only a lower and an upper bound is known. Everything else is exact.
"""

from dataclasses import dataclass, field

ALIVE = ("pending", "waiting", "unknown")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a number: at least `low` and at most `high` (None: no upper bound).

    >>> 2 in Bounds(1, None), 2 in Bounds(0, 1), str(Bounds(1, None))
    (True, False, '1 or more')
    """

    low: int = 0
    high: int | None = 0

    def __contains__(self, value: int) -> bool:
        return self.low <= value and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low == self.high:
            return str(self.low)
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"

    def plus(self, least: int, most: int) -> "Bounds":
        """The bounds after a number between `least` and `most` is added."""
        return Bounds(self.low + least, None if self.high is None else self.high + most)


def exactly(value: int) -> Bounds:
    """The bounds of a number that is known exactly."""
    return Bounds(value, value)


NONE_YET = exactly(0)


@dataclass(slots=True)
class ExpectedStep:
    """A row of `steps` as the events describe it."""

    action: str | None
    """None for a compensation, because the plan does not contain its action."""
    status: str = "pending"
    tries: Bounds = NONE_YET
    cost: Bounds = NONE_YET
    """In micro-USD."""
    generation: Bounds = NONE_YET
    external_id: str | None = None
    output: str | None = None
    """The hash of the output; None if there is no output."""
    input: str | None = None
    """The hash of the input that a person gave; None if no event contains one."""
    code: str | None = None
    """The code of the row's error."""
    has_exact_tries: bool = False
    """Whether the step's events contain the number of tries. If so, every try that counts has an
    event."""

    def may_be(self, status: str, code: str | None) -> bool:
        """Whether a row with this status and this error code agrees with the events."""
        if status == self.status:
            return True
        if self.status not in ALIVE:
            return False
        if status == "running":
            return True
        if status == "pending":
            # A poll is due. Before it the step may have waited again for the same external id.
            return self.status == "waiting" or self.external_id is not None
        if status == "waiting":
            return self.external_id is not None
        # The outcome may have become unknown again for the same reason, which logs no event.
        return status == "unknown" and code is not None and code == self.code

    def tries_by_now(self) -> Bounds:
        """The number of tries that the row may have now. Tries after its last event may have logged
        no event."""
        if self.status not in ALIVE:
            return self.tries
        # Another wait for the same external id sets the tries to 0. Another unknown outcome may add
        # a try.
        low = 0 if self.external_id is not None else self.tries.low
        is_bounded = self.has_exact_tries or self.code is None
        return Bounds(low, self.tries.high if is_bounded else None)

    def cost_by_now(self) -> Bounds:
        """The cost that the row may have now, in micro-USD."""
        is_quiet = self.external_id is None and self.code is None and self.status == "pending"
        return self.cost if self.status not in ALIVE or is_quiet else Bounds(self.cost.low, None)


@dataclass(slots=True)
class ExpectedWorkflow:
    """A row of `workflows` as the events describe it."""

    type: str = ""
    version: int = 0
    status: str = "none"
    cause: str | None = None
    attention: str | None = None
    is_paused: bool = False
    is_started: bool = False
    input: str | None = None
    output: str | None = None
    is_completed: bool = False


@dataclass
class Expected:
    """The rows of a workflow and of its steps by key, as the events describe them.

    `strays` are events of steps that cannot exist.
    """

    workflow: ExpectedWorkflow = field(default_factory=ExpectedWorkflow)
    steps: dict[str, ExpectedStep] = field(default_factory=dict)
    strays: list[tuple[str, str]] = field(default_factory=list)
    """Pairs (step key, event type)."""
