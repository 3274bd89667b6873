"""What a platform folder hands to the engine: its actions, its webhook check, its probe.

An action is one operation a step can call. Its `run` is replayed from the top at every attempt:
each vendor effect inside goes through `Call.once`, which records the exact request before sending
it and answers a replay from the record, so code after an effect may run many times, the effect
itself once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.settings import PlatformSettings

Json = dict[str, Any]


class Effect(StrEnum):
    """What a second call of the action would do at the vendor; decides what Unknown may do."""

    NONE = "none"  # reads only: repeat freely
    IDEMPOTENT = "idempotent"  # the vendor knows our key: re-send verbatim while the key lives
    LOOKUP = "lookup"  # ask the vendor what became of the call before sending again
    REPEATABLE = "repeatable"  # a small bounded cost may be paid twice
    PERSON = "person"  # neither key nor lookup: a person decides


class ActionInput(BaseModel):
    """Base of every action's input: unknown fields are refused, values are not coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Intent:
    """A recorded effect of a step: the exact request, and what is known of its fate.

    `resolution`: None (open: it may have happened), `accepted`, `refused` (the vendor did nothing)
    or `never` (a lookup proved that it never happened).
    """

    ordinal: int
    generation: int
    operation: str
    request: Json
    key: str
    first_sent_at: datetime
    resolution: str | None
    response: Json | None


@dataclass(frozen=True)
class Found:
    """The lookup's answer: it happened, and `response` is what the lost reply would have said."""

    response: Json


@dataclass(frozen=True)
class Never:
    """The lookup's answer, from a strongly consistent source: it never happened."""


@dataclass(frozen=True)
class CannotTell:
    """The lookup's answer: ask again in `after_seconds`."""

    after_seconds: float
    reason: str = ""


LookupAnswer = Found | Never | CannotTell


@dataclass(frozen=True)
class Undo:
    """What a compensation is told of the step it undoes; it reads the vendor's state first.

    `is_orphan`: only the effect `external_id` is taken back, which is not the step's own; `status`
    is the step's, which may go on, and `output` is None.
    """

    step_key: str
    status: str
    input: Json | None
    output: Json | None
    external_id: str | None
    intents: tuple[Intent, ...]
    is_orphan: bool = False

    def response(self, operation: str) -> Json | None:
        """The recorded response of the newest accepted call of `operation`, if any."""
        for intent in reversed(self.intents):
            if intent.operation == operation and intent.response is not None:
                return intent.response
        return None


# The first argument of each is an app.engine.call.Call, which stands on this module.
Run = Callable[[Any, Any], Json]
Compensate = Callable[[Any, Undo], Json]
Lookup = Callable[[Any, Intent], LookupAnswer]


@dataclass(frozen=True)
class Made:
    """What a vendor's response names, for whom must find it again without reading the response:
    the id of the effect, and the address under which a webhook may name an uploaded file."""

    effect_id: str | None = None
    address: str | None = None


Names = Callable[[str, Json], Made]
"""(operation, response) -> what the response names; raises nothing, for the effect is made."""


@dataclass
class Action:
    """One platform operation, `platform.verb`, with its compensation and lookup.

    `attempt_seconds` bounds one attempt; `key_life` is how long the vendor remembers an
    idempotency key; `slow` keeps it from being taken hand to hand within another step's message;
    `quick` says that it calls nobody and takes no time: siblings of it share a message.
    `names`: its effects carry their step, and the compensation takes back any one of them by its
    external id alone (an orphan); it tells what a response names, by which they are known.
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

    @property
    def platform(self) -> str:
        """The queue and log name: what stands before the first dot."""
        return self.name.partition(".")[0]

    @property
    def is_traced(self) -> bool:
        """Whether its effects are known again, whoever tells of them."""
        return self.names is not None

    def made(self, operation: str, response: Json | None) -> Made:
        """What the response of one of its calls names."""
        if self.names is None or response is None:
            return Made()
        return self.names(operation, response)

    def compensation(self, function: Compensate) -> Compensate:
        """Declare how this action is undone (decorator)."""
        self.compensate = function
        return function

    def looked_up(self, function: Lookup) -> Lookup:
        """Declare how the fate of an open call of this action is found (decorator)."""
        self.lookup = function
        return function


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
) -> Callable[[Run], Action]:
    """Turn a function `(call, input) -> JSON output` into an Action."""

    def declare(run: Run) -> Action:
        return Action(
            name, input, run, effect, attempt_seconds, tries, key_life, slow, quick, names
        )

    return declare


@dataclass(frozen=True)
class Trace:
    """What a webhook tells of whose effect it speaks: the effect's id at the vendor, and either the
    step's `reference` (see `Call.reference`) or addresses of files that were uploaded for it."""

    effect_id: str
    reference: str | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """One verified webhook: its unique id, the external id whose waiter it wakes (None: nobody's),
    and its payload."""

    delivery_id: str
    external_id: str | None
    kind: str
    payload: Json
    trace: Trace | None = None


Verify = Callable[[Mapping[str, str], bytes, datetime], Delivery]


@dataclass(frozen=True)
class Platform:
    """One vendor: its name (also its queue), actions, webhook check, probe and settings.

    `verify(headers, raw_body, now)` raises SignatureInvalid; header names are lower case.
    `probe()` makes one cheap authenticated call and raises an Outcome when the vendor is away.
    """

    name: str
    actions: tuple[Action, ...]
    verify: Verify | None = None
    probe: Callable[[], None] | None = None
    warm: Callable[[], None] | None = field(default=None)
    """Imports the vendor's SDK ahead of need, for a process that calls the vendor."""
    settings: type[PlatformSettings] | None = None
