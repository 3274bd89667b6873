"""What an action gets to work with: its identity, its effects recorded once, its artifacts."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from app import db, settings
from app.declarations import KEY_MARGIN
from app.errors import NotConfigured, Permanent, Retryable, Unknown
from app.files.artifacts import Artifacts
from app.payload import clean
from app.platform import Action, Effect, Intent, Json
from app.protocol import intents
from app.protocol.claims import Claim, Fenced

UNDO_SUFFIX = "~undo"
ORPHAN_MARK = "~orphan["


def idempotency_key(workflow_id: UUID, step_key: str, ordinal: int, generation: int) -> str:
    """The vendor's key for one call of a step: the same for every try of a generation."""
    text = f"{workflow_id}/{step_key}/{ordinal}/{generation}"
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Call:
    """One attempt of one step, as its action sees it."""

    claim: Claim
    action: Action
    cost: int = 0
    given: Json | None = None
    """The input, while it is not yet on the step's row."""
    is_other_action: bool = False
    """A compensation by another action than the step's own."""
    _ordinal: int = field(default=0, repr=False)

    @property
    def workflow_id(self) -> UUID:
        """The workflow's id."""
        return self.claim.workflow_id

    @property
    def user_id(self) -> UUID:
        """Whose workflow it is."""
        return self.claim.user_id

    @property
    def is_compensating(self) -> bool:
        """An action's own compensation, which reads the vendor's state before its effect."""
        return self.claim.undo and not self.is_other_action

    @property
    def step_key(self) -> str:
        """The step's key; an undo row's own, `<key>~undo`."""
        return self.claim.key

    @property
    def original_key(self) -> str:
        """The key of the row that is done or undone: a step's, or an orphan effect's."""
        return self.claim.key.removesuffix(UNDO_SUFFIX)

    @property
    def reference(self) -> str:
        """`<workflow>/<step>`, for a vendor's metadata; the same in the step, its undo and in what
        takes back its orphans."""
        return f"{self.workflow_id}/{self.original_key.partition(ORPHAN_MARK)[0]}"

    @property
    def hook_url(self) -> str:
        """Where the webhooks of the action's platform arrive."""
        return f"{settings.current().public_base_url}/hooks/{self.action.platform}"

    @property
    def generation(self) -> int:
        """Rises when the vendor keeps a failure under the old idempotency key."""
        return self.claim.generation

    @property
    def tries(self) -> int:
        """Attempts that ended in a retryable failure so far."""
        return self.claim.tries

    @property
    def external_id(self) -> str | None:
        """What the step waited for, when this attempt is a wake or a poll."""
        return self.claim.external_id

    @cached_property
    def artifacts(self) -> Artifacts:
        """The files of the step (an undo row sees its original's)."""
        return Artifacts(self.workflow_id, self.original_key, self.user_id, fence=self.claim.fence)

    def age_seconds(self, intent: Intent) -> float:
        """Seconds since an intent was first sent, by the database's clock."""
        return intents.age_seconds(intent)

    def spend(self, micro_usd: int) -> None:
        """Add platform cost of this attempt, in micro-USD."""
        self.cost += micro_usd

    def deliveries(self, external_id: str | None = None) -> list[Json]:
        """Payloads of the verified webhooks for `external_id` (the step's own by default), oldest
        first."""
        wanted = external_id or self.external_id
        platform = self.action.platform
        found = db.patiently(
            lambda: db.rows(
                "SELECT payload FROM webhook_deliveries WHERE external_id = %s AND platform = %s"
                " ORDER BY id",
                (wanted, platform),
            ),
        )
        return [row["payload"] for row in found]

    def once(self, operation: str, request: Json, perform: Callable[[Json, str], Json]) -> Json:
        """Make one effect: its exact request is committed first, a replay is answered from the
        record. `perform(request, key)` raises an Outcome that says whether anything happened."""
        ordinal = self._ordinal
        self._ordinal += 1
        key = idempotency_key(self.workflow_id, self.step_key, ordinal, self.generation)
        recorded = intents.record_intent(self.claim, ordinal, operation, request, key, self.given)
        if recorded is None:
            raise Fenced
        intent = recorded.intent
        if intent.operation != operation:
            raise Permanent(
                f"call {ordinal} of the step was {intent.operation}, is now {operation}",
                code="replay_mismatch",
            )
        if intent.resolution == "accepted":
            return intent.response or {}
        is_open = intent.resolution is None and not recorded.is_new
        if is_open and not self._may_send_again(recorded.age_seconds):
            raise Unknown(f"{operation} may have happened; it is looked up first")
        return self._perform(intent, perform, is_open=is_open)

    def _may_send_again(self, age_seconds: float) -> bool:
        if self.is_compensating or self.action.effect in {Effect.NONE, Effect.REPEATABLE}:
            return True
        life = self.action.key_life
        return life is not None and age_seconds < (life - KEY_MARGIN).total_seconds()

    def _perform(
        self, intent: Intent, perform: Callable[[Json, str], Json], *, is_open: bool
    ) -> Json:
        try:
            response: Json = clean(perform(intent.request, intent.key))
        except (Retryable, Permanent, NotConfigured):
            # An earlier send of an open intent may still have happened; a refusal of this one
            # proves nothing about it.
            if not is_open:
                self._resolve(intent.ordinal, "refused", None)
            raise
        self._resolve(intent.ordinal, "accepted", response)
        return response

    def _resolve(self, ordinal: int, resolution: str, response: Json | None) -> None:
        if not intents.resolve_intent(self.claim, ordinal, resolution, response):
            raise Fenced
