"""What each platform folder gives to the engine: its actions, its webhook check and its probe.

An action is one operation that a step can call. Every attempt executes its `run` from the start.
Each effect at the vendor must go through `Call.once`. It records the exact request before it sends
it, and gives a later attempt the recorded response. So an effect is made once, but the code around
it may run many times.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.money.facts import Fact, Money
from app.money.statements import Page
from app.platform.batches import Batches
from app.platform.calls import (
    Allowance,
    CannotTell,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Lost,
    Never,
    Undo,
)
from app.settings import PlatformSettings

__all__ = [
    "ASK",
    "Action",
    "ActionInput",
    "ActionOutput",
    "Allowance",
    "Authentication",
    "CannotTell",
    "Contract",
    "Delivery",
    "Effect",
    "FailedUndo",
    "Found",
    "Intent",
    "Json",
    "Lookup",
    "LookupAnswer",
    "Lost",
    "Made",
    "Never",
    "Platform",
    "Reuse",
    "Trace",
    "Undo",
    "Verify",
    "action",
]

ASK = "people.ask"
"""The call under which an action records what it asks people (see `Call.decisions`).

The response holds `show`, what those who are asked see ({message, amount}), `by`, `on_timeout` and
`on_reject`, as the input of an approval does.
"""


class Effect(StrEnum):
    """What a second call of the action would do at the vendor.

    This decides what happens after a call of unknown outcome.
    """

    NONE = "none"  # the action only reads, so it is sent again
    IDEMPOTENT = "idempotent"  # sent again unchanged while the vendor knows its idempotency key
    LOOKUP = "lookup"  # the vendor is asked whether the call took effect, before it is sent again
    REPEATABLE = "repeatable"  # sent again, because paying its small cost twice is acceptable
    PERSON = "person"  # there is neither key nor lookup, so a person decides


@dataclass(frozen=True)
class Contract:
    """What is known of one call at the vendor: its effect, the life of its idempotency key, and
    whether the vendor can be asked what became of it."""

    effect: Effect
    key_life: timedelta | None = None
    is_looked_up: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether the call may be sent again, whatever became of it."""
        return self.effect in {Effect.NONE, Effect.REPEATABLE}


class ActionInput(BaseModel):
    """Base class of every action's input. Unknown fields are refused, and no type is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ActionOutput(BaseModel):
    """Base class of the shape of every action's output, which the list of actions shows.

    The engine does not check outputs: an effect that was paid for is recorded whatever it returns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


# The first argument of each is an app.engine.call.Call. That module imports this one.
Run = Callable[[Any, Any], Json]
Compensate = Callable[[Any, Undo], Json]
Lookup = Callable[[Any, Intent], LookupAnswer]


@dataclass(frozen=True)
class Made:
    """The ids in a vendor's response. They are stored in columns, because SQL reads no response.

    `effect_id` is the vendor's id of the effect. `address` is the address of an uploaded file, by
    which a webhook may refer to it.
    """

    effect_id: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Authentication:
    """What a customer's browser needs to finish what a step waits for at a platform.

    `status` is the platform's own word. The other two are None once nothing is to be done, and
    `redirect_url` also if the browser finishes it by the platform's script. `client_secret` is
    handed to the browser, and stored nowhere.
    """

    status: str
    client_secret: str | None = field(default=None, repr=False)
    redirect_url: str | None = field(default=None, repr=False)


Ceiling = Callable[[Any], int]
"""Takes the input of an action; returns the most that one attempt may cost, in micro-USD."""
TimedCeiling = Callable[[Any, float], int]
"""The same of work that lasts no longer than its step, from the step's time-out in seconds."""
DEFAULT_TIMEOUT_SECONDS = 86_400.0
"""The time-out of a step's wait for a platform, if its definition says none."""


@dataclass(frozen=True)
class Reuse:
    """How a step may take the result of an equal request of the user (see app/engine/reuse.py).

    `account()` says at which address and for which account of the platform requests are made: what
    one account has made is no result for another. `request(call, input)` is what decides the
    result: the input without ids and keys, files by their digest, the version of the model, and
    the text around a prompt. `seconds(input)` is how old a result may be; 0: none is taken, and
    none is made for others. For `making_seconds()` at most a step waits for another.
    `adopt(call, output)` gives the step files of its own, and returns its output; it raises
    Permanent `artifact_missing` if one is gone.
    """

    account: Callable[[], Json]
    request: Callable[[Any, Any], Json]
    seconds: Callable[[Any], float]
    making_seconds: Callable[[], float]
    adopt: Callable[[Any, Json], Json] | None = None


Names = Callable[[str, Json], Made]
"""Takes (operation, response). It must not raise, because the effect has been made already."""


@dataclass
class Action:
    """One operation of a platform, called `platform.verb`, with its compensation and its lookup.

    - `attempt_seconds` limits one attempt. `seconds` gives a shorter limit by the settings of now.
    - `key_life` is how long the vendor remembers an idempotency key.
    - `slow`: it mostly waits. A worker of processes runs it only in a message of its own, never
      after another step in the same message; a worker of threads may run it so.
    - `quick`: it calls no vendor and takes no time, so that siblings of it share one message.
    - `names` reads the ids in a response. An action has it if its webhooks show for which step an
      effect was made, and if its compensation can undo one such effect by its external id alone.
      Only such effects can be found to be orphans.
    - `ceiling` is the most that a step may cost, as a function of its input, and `timed_ceiling` as
      one of its time-out too. An action without both is free.
    - `allowance` is what a step takes of what our settings allow at the platform, as a function of
      its input and its time-out in seconds; None: nothing.
    - `output` and `example` (an input) are for the authors of definitions.
    - `authentication` reads what a customer must do for the step that waits for an external id. The
      web process calls it, so it must be quick and import no SDK. Raises an Outcome.
    - `contract_of` reads the contract of a call from its request, or from the step's input. An
      action has it if the author of a definition chooses the effect for each step.
    - `reuse` says when a step may take the result of another.
    - `asks_people`: people decide, and its input names them, so that input cannot be corrected.
    - `wait_seconds` limits a step's wait for the platform, if its definition has no time-out.
    """

    name: str
    input: type[ActionInput]
    run: Run
    effect: Effect
    attempt_seconds: float = 60.0
    tries: int = 8
    key_life: timedelta | None = None
    slow: bool = False
    quick: bool = False
    names: Names | None = None
    compensate: Compensate | None = None
    lookup: Lookup | None = None
    ceiling: Ceiling | None = None
    timed_ceiling: TimedCeiling | None = None
    allowance: Callable[[Any, float], Allowance | None] | None = None
    lost: Callable[[Json], int] | None = None
    output: type[ActionOutput] | None = None
    example: Json | None = None
    contract_of: Callable[[Json], Contract] | None = None
    authentication: Callable[[str], Authentication] | None = None
    reuse: Reuse | None = None
    asks_people: bool = False
    seconds: Callable[[], float] | None = None
    wait_seconds: float = 86_400.0

    def contract(self, request: Json) -> Contract:
        """The contract of a call with this request."""
        if self.contract_of is not None:
            return self.contract_of(request)
        return Contract(self.effect, self.key_life, self.lookup is not None)

    @property
    def platform(self) -> str:
        """The platform's name, which its queue and its logs have too: the part before the dot."""
        return self.name.partition(".")[0]

    @property
    def limited_at(self) -> str | None:
        """The platform, if its settings may limit what steps of the action use of it."""
        return None if self.allowance is None else self.platform

    @property
    def is_traced(self) -> bool:
        """Whether a webhook about one of its effects shows for which step the effect was made."""
        return self.names is not None

    def made(self, operation: str, response: Json | None) -> Made:
        """The ids in the response of one of its calls."""
        if self.names is None or response is None:
            return Made()
        return self.names(operation, response)

    def compensation(self, function: Compensate) -> Compensate:
        """Declare how this action is undone (decorator)."""
        self.compensate = function
        return function

    def costs_at_most(self, function: Ceiling) -> Ceiling:
        """Declare the most that a step may cost, in micro-USD, from its input (decorator).

        A workflow with a budget reserves so much before the step runs.
        """
        self.ceiling = function
        return function

    def costs_at_most_within(self, function: TimedCeiling) -> TimedCeiling:
        """Declare the same as a function of the input and of the step's time-out in seconds, for
        work that the platform ends when the step would time out (decorator)."""
        self.timed_ceiling = function
        self.ceiling = lambda given: function(given, DEFAULT_TIMEOUT_SECONDS)
        return function

    def most(self, given: Any, timeout_seconds: float) -> int:
        """The most that a step with this input and time-out may cost, in micro-USD; 0: nothing."""
        if self.timed_ceiling is not None:
            return self.timed_ceiling(given, timeout_seconds)
        return 0 if self.ceiling is None else self.ceiling(given)

    def costs_if_lost(self, function: Callable[[Json], int]) -> Callable[[Json], int]:
        """Declare the most that a call may have cost whose answer is lost, in micro-USD, from its
        request (decorator). For an action that is repeatable, or whose lookup may say `Lost`: the
        call is sent again, and is paid twice."""
        self.lost = function
        return function

    def looked_up(self, function: Lookup) -> Lookup:
        """Declare how to find out whether an open call took effect (decorator)."""
        self.lookup = function
        return function

    def describe(self, *, output: type[ActionOutput] | None, example: Json) -> None:
        """Declare the shape of the output (None: it never succeeds) and an example's input."""
        self.output = output
        self.example = example


def action(
    name: str,
    *,
    input: type[ActionInput],
    effect: Effect,
    attempt_seconds: float = 60.0,
    tries: int = 8,
    key_life: timedelta | None = None,
    slow: bool = False,
    quick: bool = False,
    names: Names | None = None,
    contract_of: Callable[[Json], Contract] | None = None,
) -> Callable[[Run], Action]:
    """Turn a function `(call, input) -> JSON output` into an Action."""

    def declare(run: Run) -> Action:
        given = (name, input, run, effect, attempt_seconds, tries, key_life, slow, quick, names)
        return Action(*given, contract_of=contract_of)

    return declare


@dataclass(frozen=True)
class Trace:
    """The effect that a webhook reports, and what shows for which step the effect was made.

    That is either the step's `reference` (see `Call.reference`), or the `addresses` of files that
    were uploaded for the step.
    """

    effect_id: str
    reference: str | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailedUndo:
    """A compensation, or the effect of a step without one, that was done and has failed afterwards,
    as a webhook reports it.

    `effect_id` is the vendor's id of what was done, for example of a refund that the bank has sent
    back. `reference` is that of the step (see `Call.reference`), and `generation` the step's
    generation that did it, if the vendor tells.
    """

    effect_id: str
    reference: str
    reason: str
    generation: int | None = None


@dataclass(frozen=True)
class Delivery:
    """One verified webhook, with its unique id and its payload.

    It wakes the step that waits for `external_id`. If that is None, it wakes no step.
    """

    delivery_id: str
    external_id: str | None
    kind: str
    payload: Json
    trace: Trace | None = None
    failed_undo: FailedUndo | None = None


Verify = Callable[[Mapping[str, str], bytes, datetime], Delivery]


@dataclass(frozen=True)
class Platform:
    """One vendor: its name (also that of its queue), actions, webhook check, probe and settings.

    `verify(headers, raw_body, now)` raises SignatureInvalid if the webhook is forged; the names of
    headers are in lower case. `probe()` makes one cheap authenticated call, or raises an Outcome.
    """

    name: str
    actions: tuple[Action, ...]
    verify: Verify | None = None
    probe: Callable[[], None] | None = None
    warm: Callable[[], None] | None = None
    """Imports the vendor's SDK, in a process that will call the vendor."""
    settings: type[PlatformSettings] | None = None
    completed: Callable[[Delivery], Delivery] | None = None
    """Reads what a verified and stored webhook only names, and gives the webhook with it, quickly
    and without an SDK. Raises Unavailable if the platform must send the webhook again."""
    facts: Callable[[Json], Sequence[Fact]] | None = None
    """The facts about customers' money that the payload of a verified webhook reports."""
    statement: Callable[[datetime, datetime, str | None], Page] | None = None
    """`(since, until, cursor)`: a part of the statement of our balance at the platform. Raises an
    Outcome if the platform does not answer, and NotConfigured without a credential."""
    balance: Callable[[datetime], Sequence[Money]] | None = None
    """`(at)`: what that balance was at a time, in each currency. Raises as `statement`."""
    dispute: Callable[[str], Sequence[Fact]] | None = None
    """`(id)`: the facts that a dispute shows now. Raises as `statement`."""
    batches: Batches | None = None
    """How lines of steps are sent in batches (see chains/batches)."""
