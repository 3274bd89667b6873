"""Starts the workflow of a match, and records what became of it."""

from dataclasses import dataclass
from uuid import UUID

from app import db
from app.errors import Conflict, InvalidInput, Permanent, TooMany
from app.payload import clean
from chains.incoming.events import Stored
from chains.incoming.rules import Trigger
from chains.language.expressions import ExpressionInvalid
from chains.starting.start import start_workflow
from chains.starting.writing import KNOWN_KEY

_LONGEST_REASON = 1000


@dataclass(frozen=True)
class Match:
    """What a trigger says of an event. The start key is None unless a workflow is to start."""

    event: Stored
    trigger: Trigger
    outcome: str
    start_key: str | None = None
    reason: str | None = None


def start(match: Match) -> str:
    """Start the workflow of a match and record the outcome, which is returned.

    It is still `pending` if its lane is full: `take_pending_v1` lets it be tried again, each time
    after a longer pause.

    Raises Unavailable or psycopg2's errors if that cannot be done now; the match stays pending.
    """
    try:
        workflow_id, is_new = _started(match)
    except TooMany as err:
        if err.code == "lane_full":
            return "pending"
        return settle(match, "dropped", None, err.message)
    except _Live as live:
        return settle(match, "dropped", live.workflow_id, "a workflow of its singleton is live")
    except ExpressionInvalid as err:
        return settle(match, "raised", None, str(err))
    except (InvalidInput, Permanent) as err:
        where = f"{err.field}: " if isinstance(err, InvalidInput) and err.field else ""
        return settle(match, "refused", None, f"{where}{err.message}")
    # The trigger's own expression may give several events one key. Any other key is this match's.
    is_repeated = not is_new and match.trigger.idempotency_key is not None
    return settle(match, "repeated" if is_repeated else "started", workflow_id, None)


def _started(match: Match) -> tuple[UUID, bool]:
    """The workflow of the match, and whether this call has started it."""
    trigger = match.trigger
    given = trigger.workflow_input(match.event.scope)
    if not isinstance(given, dict):
        raise InvalidInput("the input that the trigger makes is not a JSON object", field="/input")
    try:
        started = start_workflow(
            user_id=trigger.user_id,
            type=trigger.definition,
            input=given,
            idempotency_key=match.start_key,
            version=trigger.version,
        )
    except Conflict as err:
        if err.code != "idempotency_key_reused":
            raise
        # Another event with this key, or this match before the trigger was changed.
        return _known(trigger.user_id, match.start_key), False
    if started.how == "live":
        raise _Live(started.id)
    # What it has joined was opened by another start, but for this event too.
    return started.id, started.created or started.how == "joined"


class _Live(Exception):
    """Nothing was started, because this workflow of the singleton has not ended."""

    def __init__(self, workflow_id: UUID) -> None:
        super().__init__(str(workflow_id))
        self.workflow_id = workflow_id


def _known(user_id: UUID, start_key: str | None) -> UUID:
    row = db.call(KNOWN_KEY, (user_id, start_key))
    assert row is not None
    found: UUID = row["id"]
    return found


# The commit is not flushed: if the server crashes and loses it, the match is pending again, and its
# start is found by its key.
_SETTLE = (
    "WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
    " UPDATE trigger_matches SET outcome = $1, workflow_id = $2, reason = $3,"
    " decided_at = clock_timestamp() FROM lazily"
    " WHERE event_id = $4 AND trigger_id = $5 AND outcome = 'pending' RETURNING outcome"
)
_TYPES = "text, uuid, text, uuid, uuid"


def settle(match: Match, outcome: str, workflow_id: UUID | None, reason: str | None) -> str:
    """Record the outcome of a match that is pending, and return it."""
    given = (outcome, workflow_id, cut(reason), match.event.id, match.trigger.id)
    db.hot("settle_match", _TYPES, given, query=_SETTLE)
    return outcome


def leave(places: list[tuple[UUID, UUID]]) -> None:
    """Let the reconciler take pending matches, each an event and a trigger, in its next pass."""
    if places:
        db.row(
            "UPDATE trigger_matches AS m SET act_after = clock_timestamp()"
            " FROM unnest(%s::uuid[], %s::uuid[]) AS g (event_id, trigger_id)"
            " WHERE m.event_id = g.event_id AND m.trigger_id = g.trigger_id"
            " AND m.outcome = 'pending'",
            ([event for event, _ in places], [trigger for _, trigger in places]),
        )


def cut(reason: str | None) -> str | None:
    """A reason as it is stored."""
    return None if reason is None else clean(reason)[:_LONGEST_REASON]
