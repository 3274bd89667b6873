"""Read a text aloud, and keep the speech.

Invariant: the record of a call has no sound. It names the artifact that holds it.

As with pictures (tasks/openai/images/drawing.py), OpenAI cannot be asked for a speech again. What
was kept before the record of its call was lost is found; any other call that was lost is booked at
its most, and made again.
"""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Unknown
from app.platform import (
    ActionOutput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Lost,
    Reuse,
    Undo,
    action,
)
from tasks import tariffs
from tasks.kept_files import KeptFile, copied, erased
from tasks.openai.audio import costs, speeches
from tasks.openai.audio.inputs import Model
from tasks.openai.settings import OpenAISettings
from tasks.reuse import Reusable, age_seconds

_TRIES = 4
_KEEPING_SECONDS = 60.0
_WITHOUT_STREAM = "tts-1"
"""How the names of models begin that send no stream. They are paid by the character."""


class SpeakInput(Reusable):
    """The text that a `voice` of OpenAI's reads aloud. `instructions` say how, for newer models.

    `pcm` is 24 kHz, 16 bits, one channel, without a header. OpenAI asks you to tell listeners that
    they hear no person.
    """

    text: str = Field(min_length=1, max_length=4096, pattern=r"\S")
    voice: Annotated[str, Field(pattern=r"^[\w-]{1,100}$")] = "alloy"
    model: Model | None = None
    format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    instructions: str | None = Field(default=None, min_length=1, max_length=4096)


@action(
    "openai.speak",
    input=SpeakInput,
    effect=Effect.LOOKUP,
    attempt_seconds=speeches.READ_SECONDS + _KEEPING_SECONDS,
    tries=_TRIES,
    slow=True,
)
def speak(call: Call, given: SpeakInput) -> Json:
    """Read a text aloud: {speech, model, tokens}.

    Raises Permanent `answer_too_large` if the speech is longer than can be kept.
    """
    request = request_of(given)
    where = "the step's `model`, or OPENAI_SPEAK_MODEL"
    operation = speeches.CREATE
    tariffs.require_alive(call, "openai", request["model"], operation=operation, setting=where)
    made = call.once(operation, request, lambda r, key: _spoken(call, r, key))
    if made["fault"] is not None:
        raise Permanent(made["fault"]["message"], code=made["fault"]["code"])
    return {name: made[name] for name in ("speech", "model", "tokens")}


def request_of(given: SpeakInput) -> Json:
    """The body of the request."""
    model = given.model or OpenAISettings.current().speak_model
    body: Json = {
        "model": model,
        "input": given.text,
        "voice": given.voice,
        "response_format": given.format,
        "stream_format": "audio" if model.startswith(_WITHOUT_STREAM) else "sse",
    }
    if given.speed != 1.0:
        body["speed"] = given.speed
    return body if given.instructions is None else body | {"instructions": given.instructions}


def _spoken(call: Call, request: Json, key: str) -> Json:
    """Let the model speak and keep the speech: {speech, model, tokens, fault}."""
    fault: Json | None = None
    try:
        seen = speeches.speak(request, key)
    except (Permanent, Unknown) as err:
        if err.code != speeches.TOO_LARGE:
            raise
        # It has come, and is paid.
        seen, fault = {"sound": b"", "used": None}, {"code": err.code, "message": err.message}
    used, sound = seen["used"], seen["sound"]
    spent = costs.spoken(request, used)
    tariffs.spend(call, "openai", spent, of=key, model=request["model"])
    speech = None if fault else _kept(call, request, sound)
    tokens = used and {"input": used["input_tokens"], "output": used["audio_output_tokens"]}
    return {"speech": speech, "model": request["model"], "tokens": tokens, "fault": fault}


def _kept(call: Call, request: Json, sound: bytes) -> Json:
    digest = hashlib.sha256(sound).hexdigest()
    kind = speeches.CONTENT_TYPES[request["response_format"]]
    return call.artifacts.write(_name(request), sound, kind, vendor_sha256=digest)


def _name(request: Json) -> str:
    return f"speech.{request['response_format']}"


class Tokens(ActionOutput):
    """The tokens of the text that were read, and those of the sound that were made."""

    input: int
    output: int


class Speech(ActionOutput):
    """The sound and the model. `tokens` are null for a model that is paid by the character."""

    speech: KeptFile
    model: str
    tokens: Tokens | None


speak.describe(output=Speech, example={"text": "The show begins at eight.", "voice": "coral"})


@speak.looked_up
def find_speech(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the speech of a call in our own store: OpenAI cannot be asked for it."""
    kept = call.artifacts.stored(_name(intent.request))
    if intent.generation != call.generation or kept is None:
        return Lost()
    model = intent.request["model"]
    return Found({"speech": kept, "model": model, "tokens": None, "fault": None})


@speak.compensation
def erase(call: Call, _: Undo) -> Json:
    """Erase the speech. Nothing of it stays at OpenAI."""
    return erased(call)


speak.reuse = Reuse(
    account=lambda: OpenAISettings.current().account(),
    request=lambda _, given: request_of(given),
    # A step that wants another reading of the same text says so (`cache: false`).
    seconds=lambda given: age_seconds(given, OpenAISettings.current().cache_seconds),
    making_seconds=lambda: speeches.READ_SECONDS + _KEEPING_SECONDS,
    adopt=lambda call, output: output | {"speech": copied(call, output["speech"])},
)


@speak.costs_at_most
def speak_ceiling(given: SpeakInput) -> int:
    """What the characters cost, or the most tokens of the speech."""
    return lost_cost(request_of(given))


@speak.costs_if_lost
def lost_cost(request: Json) -> int:
    """What OpenAI may bill for a call whose answer is lost."""
    return costs.most_spoken(request).micro_usd
