"""The quality gate: whether an answer may be used, or another model is asked.

An answer passes if it is whole, has the form that was asked for, and has all of the step's
`quality`. What is refused for its content is no matter of quality: no other model is asked.
"""

import time
from collections.abc import Iterator
from typing import Any

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import Json
from tasks.openai.client import api
from tasks.openai.responses import answers, judging
from tasks.openai.responses.bar import Quality
from tasks.openai.responses.inputs import RespondInput
from tasks.openai.settings import OpenAISettings
from tasks.quality import texts
from tasks.routing.route import QUALITY, Passed

CALLS = 3
"""So many calls belong to an answer: its own, its moderation, and its judgement."""
MODERATE = "moderations.create#quality"
_POOR = frozenset(("answer_invalid", "cut_off", "empty_answer", "incomplete"))
"""The codes of answers that another model may give better."""
_MOST_MODERATED = 100_000
_FRESH_SECONDS = 10.0
"""An attempt has 60 s, and an answer is waited for at most 45 s."""


def form(given: RespondInput, seen: Json, most_tokens: int) -> Any:
    """The answer as data, null if it is a text. Raises Permanent unless it is whole and has the
    form that was asked for."""
    answers.require_whole(seen, most_tokens)
    schema = given.answer_schema
    return None if schema is None else answers.structured(seen, schema)


def poor(err: Permanent, model: str) -> Passed | None:
    """Why another model is asked after an answer that is not whole; None if none is."""
    if err.code not in _POOR:
        return None
    return Passed(model, QUALITY, f"quality: {err.message}"[:300], (err.code,))


def missed(
    call: Call, given: RespondInput, seen: Json, answer: Any, ordinal: int, since: float
) -> tuple[dict[str, str], int | None]:
    """What the answer of the call `ordinal` misses, by the name of the check, and its points.

    Its moderation and its judgement are the next calls. `since` is the time.monotonic() at which
    the attempt began (see `require_time`).
    """
    quality = given.quality
    if quality is None:
        return {}, None
    text = seen["text"] if given.answer_schema is None else texts.texts_in(answer)
    found = texts.missed(quality, text)
    if not found and quality.moderation and text.strip():
        call.at(ordinal + 1)
        found = dict(_flagged(call, seen["id"], text))
    if found or quality.judge is None:
        return found, None
    require_time(since)
    call.at(ordinal + 2)
    points, reason = judging.points(call, given, quality.judge, seen)
    if points < quality.judge.bar:
        found["judge"] = f"{points} points, at least {quality.judge.bar} are wanted: {reason}"[:300]
    return found, points


def below_bar(found: dict[str, str], model: str) -> Passed:
    """Why another model is asked after an answer that misses something."""
    why = "; ".join(f"{check}: {words}" for check, words in found.items())
    return Passed(model, QUALITY, f"quality: {why}"[:500], tuple(found))


def _flagged(call: Call, response: str, text: str) -> Iterator[tuple[str, str]]:
    if len(text) > _MOST_MODERATED:
        yield "moderation", f"a text of more than {_MOST_MODERATED} characters is not checked"
        return
    # The text is that of the recorded response.
    request = {"model": OpenAISettings.current().moderation_model, "response": response}
    made = call.once(MODERATE, request, lambda r, _: api().moderate(r["model"], text))
    if made["flagged"]:
        yield "moderation", ", ".join(made["categories"]) or "an unnamed category"


def require_time(since: float) -> None:
    """Raise Retryable if an attempt that began at this time.monotonic() has used so much of its
    time that another answer might not come within it, and would be paid and lost.

    What is recorded by then is not asked for again.
    """
    if time.monotonic() - since > _FRESH_SECONDS:
        raise Retryable(
            "the attempt goes on in another one, which has time for the next call",
            code="next_attempt",
            after=0.0,
            is_try=False,
        )


def models_of(quality: Quality | None) -> list[tuple[str, str]]:
    """The models that the gate asks, each with where another is chosen."""
    found = []
    if quality is not None and quality.moderation:
        found.append((OpenAISettings.current().moderation_model, "OPENAI_MODERATION_MODEL"))
    if quality is not None and quality.judge is not None:
        where = "the step's `quality.judge.model`, or OPENAI_RESPOND_MODEL"
        found.append((quality.judge.judging_model, where))
    return found
