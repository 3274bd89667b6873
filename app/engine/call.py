"""The first argument of every action: it identifies the step, and makes each effect once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TypeVar
from uuid import UUID

import psycopg2

from app import db, ledger, settings
from app.declarations import KEY_MARGIN
from app.engine import answers
from app.errors import NotConfigured, NotServed, Permanent, Retryable, Suspend, Unknown
from app.files.artifacts import Artifacts
from app.keys import reference, signal_id, step_of, undone_by, workflow_of
from app.money.facts import Fact
from app.platform import DEFAULT_TIMEOUT_SECONDS, Action, Intent, Json
from app.protocol import budgets, intents, objects
from app.protocol.claims import Claim, Fenced
from app.protocol.deliveries import decisions, payloads
from app.protocol.intents import Answer

MOST_REFUSED_POLLS = 20
"""So many polls one after the other a vendor may refuse before the work that it does for us is
given up. With the pauses between them that takes about a quarter of an hour."""
UNREAD = "state_not_read"
"""The code of a poll that a vendor has not answered."""

State = TypeVar("State")


@dataclass
class Call:
    """One attempt of one step, as its action sees it."""

    claim: Claim
    action: Action
    cost: int = 0
    """What the attempt has cost and its outcome books, in micro-USD."""
    booked: int = 0
    """What the attempt has cost and has booked already."""
    given: Json | None = None
    """The step's input, if it is not stored in the step's row yet."""
    reused: Json | None = None
    """The result that the step has taken from another, as `finish_step_v1` takes it."""
    is_other_action: bool = False
    """Whether this is a compensation whose action is not the action of the step."""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """The time-out of the step's wait for a platform, in seconds from its start."""
    _ordinal: int = field(default=0, repr=False)
    _held: Answer | None = field(default=None, repr=False)
    """The answer to the last call, if it is not recorded yet (see app/engine/answers.py)."""

    @property
    def workflow_id(self) -> UUID:
        """The workflow's id."""
        return self.claim.workflow_id

    @property
    def user_id(self) -> UUID:
        """The user to whom the workflow belongs."""
        return self.claim.user_id

    @property
    def is_rehearsed(self) -> bool:
        """Whether the workflow is rehearsed, in memory: then nothing of it is in the database."""
        return False

    @property
    def is_compensating(self) -> bool:
        """Whether this is the action's own compensation, which reads the vendor's state first."""
        return self.claim.undo and not self.is_other_action

    @property
    def step_key(self) -> str:
        """The step's key. For a compensation it is `<key>~undo`."""
        return self.claim.key

    @property
    def original_key(self) -> str:
        """The key of the row that is run or undone: that of a step or of an orphan effect."""
        return undone_by(self.claim.key)

    @property
    def reference(self) -> str:
        """`<workflow>/<step>`, for a vendor's metadata. A step, its compensation and those of its
        orphan effects have the same reference."""
        return reference(self.workflow_id, step_of(self.claim.key))

    @property
    def hook_url(self) -> str:
        """The URL at which the webhooks of the action's platform arrive."""
        return f"{settings.current().public_base_url}/hooks/{self.action.platform}"

    @property
    def generation(self) -> int:
        """The generation of the step's idempotency keys. It rises when a call must be sent under a
        new key, for example because the vendor replays a failure that it has stored."""
        return self.claim.generation

    @property
    def tries(self) -> int:
        """The number of attempts so far that ended in a retryable failure."""
        return self.claim.tries

    @property
    def external_id(self) -> str | None:
        """The vendor's id for which the step waited, if this attempt is a wake or a poll."""
        return self.claim.external_id

    @cached_property
    def artifacts(self) -> Artifacts:
        """The artifacts of the step. A compensation sees those of the step that it undoes."""
        self.record_held()
        return Artifacts(
            self.workflow_id,
            self.original_key,
            self.user_id,
            generation=self.generation,
            fence=self.claim.fence,
        )

    def open_intents(self) -> list[Intent]:
        """The calls of the step of which it is not known whether they took effect."""
        self.record_held()
        known = intents.intents(self.workflow_id, self.step_key)
        return [intent for intent in known if intent.resolution is None]

    def sendings(self, operation: str) -> list[Intent]:
        """The recorded calls of an operation that took effect, or may have, oldest first."""
        self.record_held()
        known = intents.intents(self.workflow_id, self.step_key)
        made = (None, "accepted")
        return [each for each in known if each.operation == operation and each.resolution in made]

    def age_seconds(self, intent: Intent) -> float:
        """Seconds since an intent was first sent, by the database's clock."""
        return intents.age_seconds(intent)

    def key_age_seconds(self, intent: Intent) -> float:
        """Seconds for which the vendor may have known the intent's idempotency key."""
        return intents.key_age_seconds(self.workflow_id, self.step_key, intent)

    def spend(
        self,
        micro_usd: int,
        *,
        of: str | None = None,
        model: str | None = None,
        lost: str | None = None,
        instead: str | None = None,
        goes_on: bool = False,
    ) -> bool:
        """Add to the platform cost of this attempt, in micro-USD.

        `of` names the effect that cost it, by the vendor's id or by a name that is unique in the
        workflow: its cost is booked at once and once. Without it, the cost is booked with the
        attempt's outcome, and is lost if the worker dies before. `model`, `lost` and `instead` are
        those of `book_effect`. `goes_on`: the step asks the platform again, and keeps its part of
        the allowance. Returns False if `of` was booked before, raises Fenced if the claim is lost.
        """
        if of is None:
            self.cost += micro_usd
            return True
        self.record_held()
        at = None if goes_on else self.action.limited_at
        rest = {"lost": lost, "instead": instead, "limited_at": at}
        verdict = budgets.book_effect(self.claim, of, micro_usd, model, **rest)
        if verdict == "fenced":
            raise Fenced
        self.booked += micro_usd if verdict == "booked" else 0
        return verdict == "booked"

    def book(self, *facts: Fact) -> None:
        """Book facts about customers' money at once, each once, as facts of this step.

        A fact is true whatever becomes of the step. So it is booked before the outcome is recorded,
        also if the step's claim is lost; the next attempt books it again, which changes nothing.
        Raises Unavailable if PostgreSQL does not come back in time.
        """
        own = [replace(fact, reference=fact.reference or self.reference) for fact in facts]
        ledger.book(*own, source="step", seconds=db.OUTCOME_PATIENCE_SECONDS)

    def write_off_lost(self) -> None:
        """Write off each open call that may be repeated, if the action declares what it may have
        cost (`costs_if_lost`). Raises Fenced if the step's claim is lost."""
        if self.action.lost is None or self.claim.undo:
            return
        for intent in self.open_intents():
            if self.action.contract(intent.request).is_repeatable:
                self.write_off(intent)

    def write_off(self, intent: Intent) -> None:
        """Book the most that an open call may have cost, and count it as refused, so that it is
        sent again. Raises Fenced if the step's claim is lost."""
        self.book_lost(intent)
        self._resolve(intent, "refused", None)

    def book_lost(self, intent: Intent) -> None:
        """Book the most that the last sending of a call may have cost, once. Raises Fenced if the
        step's claim is lost."""
        # Sent again, the call has another time, so each sending is booked once.
        sent = f"{intent.key} at {intent.first_sent_at.timestamp()}"
        if self.action.lost is not None:
            self.spend(self.action.lost(intent.request), of=sent, lost=intent.key)

    def deliveries(self, external_id: str | None = None) -> list[Json]:
        """The payloads of the verified webhooks for `external_id`, oldest first. The default is the
        step's own external id."""
        self.record_held()
        return payloads(self.action.platform, external_id or self.external_id)

    def decisions(self, signal: str) -> list[Json]:
        """The decisions {approved, by, is_owner, groups, comment, data} that people have made for
        this step since this generation of it has asked them (ASK), oldest first.

        An action that asks raises Suspend with a time, `signal` and an id that webhooks may wake.
        """
        self.record_held()
        own = signal_id(self.workflow_id, signal, self.step_key)
        return decisions(self.workflow_id, self.step_key, self.generation, own)

    def now(self) -> datetime:
        """The time by the clock that decides when waits end."""
        row = db.call("SELECT playalter_now() AS at", ())
        assert row is not None
        at: datetime = row["at"]
        return at

    def claim_object(self, object_id: str, mark: str | None) -> None:
        """Make sure that this workflow may change an object that exists at the platform already.

        `mark` is the `reference` in the object's metadata. An object without one belongs to the
        first workflow that claims it. Raises Permanent if it belongs to a workflow that is not
        related to this one: neither its parent or child, nor its fork.
        """
        self.record_held()
        maker = workflow_of(mark) if mark else None
        holder = objects.claim_object(self.claim, self.action.platform, object_id, maker)
        if holder is not None:
            raise Permanent(
                f"{object_id} belongs to workflow {holder}; only that workflow, its parents,"
                " children and forks may change it",
                code="belongs_to_other",
                detail={"object": object_id, "workflow": str(holder)},
            )

    def require_own_organisation(self, object_id: str, mark: str | None) -> None:
        """Make sure that no other organisation has made an object at the platform.

        For an object that any workflow of the organisation may answer, such as a dispute. `mark` is
        as in `claim_object`; without one, an object is accepted. Raises Permanent, also if the
        workflow that the mark names is unknown.
        """
        self.record_held()
        maker = workflow_of(mark) if mark else None
        if maker is not None and not objects.is_of_same_organisation(self.workflow_id, maker):
            raise Permanent(
                f"{object_id} belongs to another organisation or installation",
                code="belongs_to_other",
                detail={"object": object_id},
            )

    def once(
        self,
        operation: str,
        request: Json,
        perform: Callable[[Json, str], Json],
        *,
        is_last: bool = False,
    ) -> Json:
        """Make one effect at the vendor, and return the vendor's response.

        The exact request is committed before it is sent. If an earlier attempt has made the effect,
        nothing is sent and the recorded response is returned.

        `is_last`: the action returns right after, or goes on only by requests to platforms and the
        methods of this object; it does nothing slow by itself, such as making a picture. The
        response is then recorded together with the step's success, which saves a commit.

        `perform(request, key)` calls the vendor, and raises an Outcome if that fails. Raises
        Unknown if an earlier attempt may have made the effect, Fenced if the step's claim is lost,
        and Permanent if the action now makes its calls in another order than before.
        """
        self.record_held()
        ordinal = self._ordinal
        self._ordinal += 1
        key = intents.idempotency_key(self.workflow_id, self.step_key, ordinal, self.generation)
        recorded = intents.record_intent(self.claim, ordinal, operation, request, key, self.given)
        if recorded is None:
            raise Fenced
        # The input was recorded with the intent.
        self.given = None
        intent = recorded.intent
        if intent.operation != operation:
            raise Permanent(
                f"call {ordinal} of the step is {operation}, but was {intent.operation} before",
                code="replay_mismatch",
            )
        if intent.resolution == "accepted":
            return answers.whole(self.claim, intent).response or {}
        is_open = intent.resolution is None and not recorded.is_new
        if is_open and not self.may_send_again(intent, recorded.key_age_seconds):
            raise Unknown(f"{operation} may have happened; it must be looked up before it is sent")
        return self._perform(intent, perform, is_open=is_open, is_last=is_last)

    def record_held(self) -> None:
        """Record the answer that waits for the step's outcome, if there is one.

        Raises Fenced if the step's claim is lost, and Unavailable if the answer cannot be recorded
        now; then it is still held.
        """
        if self._held is None:
            return
        try:
            is_recorded = intents.record_answer(self.claim, self._held)
        except psycopg2.Error:
            # PostgreSQL does not take it, and would not take the outcome with it. The call is open.
            self._held = None
            raise
        if not is_recorded:
            raise Fenced
        self._held = None

    def take_held(self) -> Answer | None:
        """Take the answer that is still held, to record it with the step's success."""
        taken, self._held = self._held, None
        return taken

    def recorded(self, operation: str) -> Json | None:
        """The vendor's response to a call of this generation, or None if none is recorded."""
        for intent in intents.intents(self.workflow_id, self.step_key):
            is_wanted = (intent.generation, intent.operation) == (self.generation, operation)
            if is_wanted and intent.resolution == "accepted":
                return answers.whole(self.claim, intent).response
        return None

    def state_of(self, external_id: str, read: Callable[[], State], poll_seconds: float) -> State:
        """What `read` says of the work that the vendor does for this step under the id.

        No failure of `read` ends what is paid for: reads may lag behind, and a proxy may answer in
        the vendor's place. The attempt that made the work raises Suspend. A poll raises Retryable:
        without an answer it counts as no try, and Permanent only after MOST_REFUSED_POLLS refusals.
        """
        try:
            return read()
        except (Retryable, NotServed, Permanent) as err:
            if self.external_id is None:
                raise Suspend(external_id, poll_seconds=poll_seconds) from err
            if isinstance(err, Retryable):
                raise Retryable(err.message, code=UNREAD, after=err.after, is_try=False) from err
            if isinstance(err, Permanent) and self.tries < MOST_REFUSED_POLLS:
                raise Retryable(err.message, code=err.code) from err
            raise

    @property
    def ordinal(self) -> int:
        """The number of the next `once`, from 0 on."""
        return self._ordinal

    def at(self, ordinal: int) -> None:
        """Let the next `once` be the call of this number, from 0 on: an action that may leave out a
        call would find another under its record."""
        self._ordinal = ordinal

    def may_send_again(self, intent: Intent, age_seconds: float) -> bool:
        """Whether a call whose key has that age, and which may have taken effect, may be sent
        again."""
        contract = self.action.contract(intent.request)
        if self.is_compensating or contract.is_repeatable:
            return True
        life = contract.key_life
        return life is not None and age_seconds < (life - KEY_MARGIN).total_seconds()

    def _perform(
        self,
        intent: Intent,
        perform: Callable[[Json, str], Json],
        *,
        is_open: bool,
        is_last: bool,
    ) -> Json:
        try:
            response = answers.storable(self.action, perform(intent.request, intent.key))
        except (Retryable, NotServed, Permanent, NotConfigured):
            # If the intent was open, an earlier attempt may have made the effect. That this attempt
            # was refused proves nothing about the earlier one.
            if not is_open:
                self._resolve(intent, "refused", None)
            raise
        if is_last:
            self._held = answers.held(self.action, intent, response)
        if self._held is None:
            self._resolve(intent, "accepted", response)
        return response

    def _resolve(self, intent: Intent, resolution: str, response: Json | None) -> None:
        answers.resolve(self.claim, self.action, intent, resolution, response)
