"""Records what became of a call. An answer that is too large for the record goes into an artifact.

Invariant: an answer that a platform has given is never lost because of its size. A replay of the
step and its compensation get the same answer as the attempt that received it.
"""

import json
from dataclasses import replace

from app.errors import Permanent
from app.files.artifacts import Artifacts
from app.payload import TOO_LARGE, text_of
from app.platform import Action, Intent, Json
from app.protocol import intents
from app.protocol.claims import Claim, Fenced


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
