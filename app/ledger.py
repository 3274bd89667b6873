"""Where the outcomes of steps are written, as the engine sees it.

The module `app.claims` is one (PostgreSQL), the memory of a rehearsal another.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.claims import Advance, Attempt, Claim, Finish
from app.platform import Json


class Ledger(Protocol):
    """The functions of `app.claims` of these names: there stands what each does and answers."""

    def finish_step(self, claim: Claim, attempt: Attempt, finish: Finish) -> Advance: ...

    def retry_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        seconds: float,
        *,
        new_generation: bool,
        timeout: float | None = None,
        is_try: bool = True,
    ) -> str: ...

    def suspend_step(
        self, claim: Claim, attempt: Attempt, external_id: str, seconds: float, timeout: float
    ) -> str: ...

    def wait_step(
        self, claim: Claim, attempt: Attempt, external_id: str, until: datetime, signal: str | None
    ) -> str: ...

    def doubt_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        seconds: float,
        attention: str | None,
        *,
        was_sent: bool = True,
    ) -> str: ...

    def fail_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        *,
        is_holding: bool = False,
        pivot: str | None = None,
    ) -> str: ...

    def cancel_step(self, claim: Claim, attempt: Attempt) -> str: ...

    def leave_step(self, claim: Claim, attempt: Attempt, error: Json) -> str: ...

    def has_delivery(self, external_id: str) -> bool: ...

    def wake_step(self, workflow_id: UUID, key: str, external_id: str) -> bool: ...
