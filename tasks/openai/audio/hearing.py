"""Write down what is said in a sound, in its language or in English.

A call whose answer is lost is booked at its most, and made again: nothing of it stays at OpenAI.
"""

from collections.abc import Callable
from typing import Any

from app.engine.call import Call
from app.platform import Action, ActionOutput, Effect, Json, Reuse, action
from tasks import tariffs
from tasks.openai.audio import calls, costs, lengths, sounds
from tasks.openai.audio.inputs import (
    Heard,
    TranscribeInput,
    TranslateInput,
    transcription,
    translation,
)
from tasks.openai.settings import OpenAISettings
from tasks.reuse import age_seconds

_TRIES = 4
_ATTEMPT_SECONDS = calls.READ_SECONDS + 60.0


@action(
    "openai.transcribe",
    input=TranscribeInput,
    effect=Effect.REPEATABLE,
    attempt_seconds=_ATTEMPT_SECONDS,
    tries=_TRIES,
    slow=True,
)
def transcribe(call: Call, given: TranscribeInput) -> Json:
    """Write down what is said in a sound: {text, languages, seconds, segments, words, model}.

    Raises Permanent `no_audio` for what is no sound that OpenAI reads, `audio_too_long` if it may
    last longer than `max_minutes`, and `audio_not_served` if it is not at the `url`.
    """
    where = "the step's `model`, or OPENAI_TRANSCRIBE_MODEL"
    return _written(call, given, calls.TRANSCRIBE, transcription(given), calls.transcribe, where)


@action(
    "openai.translate",
    input=TranslateInput,
    effect=Effect.REPEATABLE,
    attempt_seconds=_ATTEMPT_SECONDS,
    tries=_TRIES,
    slow=True,
)
def translate(call: Call, given: TranslateInput) -> Json:
    """Write down in English what is said in a sound: as `openai.transcribe`, with segments.

    Raises as `openai.transcribe`.
    """
    where = "the step's `model`, or OPENAI_TRANSLATE_MODEL"
    return _written(call, given, calls.TRANSLATE, translation(given), calls.translate, where)


def _written(
    call: Call,
    given: Heard,
    operation: str,
    body: Json,
    hear: Callable[[Json, bytes, str], Json],
    where: str,
) -> Json:
    tariffs.require_alive(call, "openai", body["model"], operation=operation, setting=where)
    made = call.recorded(operation)
    if made is None:
        data = sounds.read(call, given)
        source = {"url": given.url} if given.audio is None else {"audio": given.audio}
        request = {**body, **source, "seconds": lengths.most_seconds(data)}
        made = call.once(operation, request, lambda r, key: hear(r, data, key))
    request = call.sendings(operation)[-1].request
    of, model = f"{call.step_key}#{call.generation}", request["model"]
    tariffs.spend(call, "openai", costs.heard(request, made), of=of, model=model)
    return {name: each for name, each in made.items() if name != "used"} | {"model": model}


class Segment(ActionOutput):
    """A part of the text, when it is said, and by whom if the model tells speakers apart. Times are
    in seconds from the sound's begin."""

    text: str
    start: float
    end: float
    speaker: str | None


class Word(ActionOutput):
    """A word, and when it is said."""

    word: str
    start: float
    end: float


class Transcript(ActionOutput):
    """What is said, and in which languages, as the model calls them. `seconds` is the length of the
    sound, if the model tells it."""

    text: str
    languages: tuple[str, ...]
    seconds: float | None
    segments: tuple[Segment, ...]
    words: tuple[Word, ...]
    model: str


_SOUND = "01890a5d-ac96-774b-bcce-b302099a8057"
transcribe.describe(
    output=Transcript, example={"audio": _SOUND, "want": "segments", "max_minutes": 10}
)
translate.describe(output=Transcript, example={"audio": _SOUND, "max_minutes": 10})


Body = Callable[[Any], Json]
"""Takes the input of an action; returns the body of its request, without the sound."""


def _declare(of: Action, body: Body) -> None:
    """Declare what the action costs, at most that of `max_minutes`, and what its results are for.

    The text follows from the sound and the model.
    """

    def ceiling(given: Heard) -> int:
        return lost(body(given) | {"seconds": given.max_minutes * 60.0})

    def lost(request: Json) -> int:
        return costs.most_heard(request).micro_usd

    of.costs_at_most(ceiling)
    of.costs_if_lost(lost)
    of.reuse = Reuse(
        account=lambda: OpenAISettings.current().account(),
        request=lambda call, given: {**body(given), **sounds.shown(call, given)},
        seconds=lambda given: age_seconds(given, OpenAISettings.current().cache_seconds),
        making_seconds=lambda: _ATTEMPT_SECONDS,
    )


_declare(transcribe, transcription)
_declare(translate, translation)
