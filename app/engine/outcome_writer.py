"""Where the outcomes of steps are written, as the engine sees it.

The module `app.protocol.outcomes` writes to PostgreSQL; a rehearsal writes to memory.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.platform import Json
from app.protocol.claims import Advance, Claim
from app.protocol.outcomes import Attempt, Finish


class OutcomeWriter(Protocol):
    """The functions of `app.protocol.outcomes`, which documents what each does and answers."""

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
