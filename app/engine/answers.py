"""Records what became of a call. An answer that is too large for the record goes into an artifact.

Invariant: an answer that a platform has given is never lost because of its size. A replay of the
step and its compensation get the same answer as the attempt that received it.

An answer may be *held*: kept in memory, and recorded by the transaction that records the step's
success. That saves a commit for each paid call, and weakens nothing, for these reasons:

- If the worker dies before its first commit after an answer, the call is open, and is looked up or
  sent again under its key. That is true whether this commit records the answer alone or with the
  outcome. The commit must only not come later than it would alone. An action promises by `is_last`
  that it does nothing slow after the call. What takes time and passes through the engine records
  the answer first: a request to a platform, another call or its lookup, a file, a cost that is
  booked, the making of the workflow's output.
- If the worker dies after that commit, both are recorded, and the step is not run again.
- If the claim is lost, neither is recorded, as the fence is checked once for both. The call is then
  as open as if the answer had not been held, and the next attempt looks it up.
- A stop, a pause or a time-out may come between. The outcome of a running step is still recorded
  then, and its answer with it. What must be undone is read in a later transaction, which sees both
  or neither.
- A fork adopts outcomes only, and so never an answer without its outcome.
- An outcome that PostgreSQL refuses records nothing. The answer is then recorded alone, so that the
  fault does not turn a made effect into an unknown one. (The steps that may find no room for the
  rows that they add make no calls.)

Before every other outcome the answer is recorded alone: others look at a step that suspends (the
vendor's webhook may come at once), is retried, fails or becomes unknown after an answer. An answer
that is too large is kept as a file before its record is written. A call that neither a key nor a
lookup protects is never held: if its answer is lost, only a person can tell what became of it.
"""

import json
from dataclasses import replace

from app.card_numbers import without_card_numbers
from app.errors import Permanent
from app.files.artifacts import Artifacts
from app.payload import TOO_LARGE, clean, dumps, text_of
from app.platform import Action, Effect, Intent, Json
from app.protocol import intents
from app.protocol.claims import Claim, Fenced
from app.protocol.intents import Answer


def storable(action: Action, response: Json) -> Json:
    """The response without what PostgreSQL does not take, and without numbers of payment cards.

    The action goes on with this one, so that it gets the same when it is replayed.
    """
    cleaned: Json = clean(response)
    return without_card_numbers(cleaned, f"answer of {action.platform}")


def held(action: Action, intent: Intent, response: Json) -> Answer | None:
    """The answer to an accepted call, to be recorded with the step's outcome.

    None if it must be recorded at once.
    """
    if action.contract(intent.request).effect is Effect.PERSON:
        return None
    try:
        text = dumps(response)
    except Permanent:
        return None
    return Answer(intent.ordinal, text, action.made(intent.operation, response))


def resolve(
    claim: Claim, action: Action, intent: Intent, resolution: str, response: Json | None
) -> None:
    """Record the outcome of a call, with the platform's answer. Raises Fenced if the claim is lost.

    Raises Unavailable if a large answer cannot be stored now.
    """
    made = action.made(intent.operation, response)
    given = (claim, intent.ordinal, resolution)
    try:
        is_held = intents.resolve_intent(*given, response, generation=intent.generation, made=made)
    except Permanent as err:
        if err.code != TOO_LARGE:
            raise
        kept = _artifacts(claim, intent).keep_answer(text_of(response))
        is_held = intents.resolve_intent(
            *given, None, generation=intent.generation, made=made, answer_id=kept
        )
    if not is_held:
        raise Fenced


def whole(claim: Claim, intent: Intent) -> Intent:
    """The intent with its response, also if an artifact holds it.

    Raises Permanent if that artifact is missing or damaged.
    """
    if intent.answer_id is None:
        return intent
    return replace(
        intent, response=json.loads(_artifacts(claim, intent).read(intent.answer_id).data)
    )


def _artifacts(claim: Claim, intent: Intent) -> Artifacts:
    return Artifacts(
        claim.workflow_id,
        claim.key,
        claim.user_id,
        fence=claim.fence,
        generation=intent.generation,
    )
