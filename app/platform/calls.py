"""The calls of a step that are recorded, and what can be found out of them at their platform."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

Json = dict[str, Any]


@dataclass(frozen=True)
class Intent:
    """A recorded call of a step that has an effect at the vendor, with its exact request.

    `first_sent_at` is the start of a lookup's window: a sending after a refusal sets it anew.
    `resolution` is None (open: the call may have taken effect), `accepted`, `refused` (the vendor
    did nothing) or `never` (a lookup proved that the call took no effect). `answer_id` is the
    artifact that holds the response, if it was too large for the record; actions get the response.
    """

    ordinal: int
    generation: int
    operation: str
    request: Json
    key: str
    first_sent_at: datetime
    resolution: str | None
    response: Json | None
    answer_id: UUID | None = None


@dataclass(frozen=True)
class Allowance:
    """What a step takes of what our settings allow the steps of all workers at a platform.

    It takes a place while the platform works for it, if `has_place`, and `micro_usd` of the hour in
    which it begins. By itself, the platform ends the work within `seconds`. There are `most` places
    and `hourly` micro-USD in each hour for all, and `most_own` and `hourly_own` for each
    organisation. 0 places and None stand for no limit.
    """

    micro_usd: int
    seconds: float
    has_place: bool = True
    most: int = 0
    most_own: int = 0
    hourly: int | None = None
    hourly_own: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return (self.most, self.most_own, self.hourly, self.hourly_own) != (0, 0, None, None)


@dataclass(frozen=True)
class Found:
    """The answer of a lookup: the call took effect. `response` is what the lost reply contained."""

    response: Json


@dataclass(frozen=True)
class Never:
    """The answer of a lookup: the call took no effect.

    Only a strongly consistent source at the vendor can prove this.
    """


@dataclass(frozen=True)
class CannotTell:
    """The answer of a lookup that cannot tell yet: ask again after `after_seconds`."""

    after_seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Lost:
    """The answer of a lookup that will never tell: the call is sent again, and may be paid twice.

    What it may have cost is booked (`costs_if_lost`). For calls that may be repeated.
    """


LookupAnswer = Found | Never | CannotTell | Lost


@dataclass(frozen=True)
class Undo:
    """What a compensation knows of the step that it undoes. It must read the vendor's state first.

    If `is_orphan`, the compensation undoes only the effect `external_id`, which the step does not
    own. Then `status` is the status of that step, which may still run, and `output` is None.
    `error_code` is the code of the step's last error.
    """

    step_key: str
    status: str
    input: Json | None
    output: Json | None
    external_id: str | None
    intents: tuple[Intent, ...]
    is_orphan: bool = False
    error_code: str | None = None

    def response(self, operation: str) -> Json | None:
        """The recorded response of the newest accepted call of `operation`, if any."""
        for intent in reversed(self.intents):
            if intent.operation == operation and intent.response is not None:
                return intent.response
        return None
