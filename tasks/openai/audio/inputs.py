"""What a step wants heard: the inputs of `openai.transcribe` and `openai.translate`.

https://platform.openai.com/docs/guides/speech-to-text
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.platform import Json
from tasks.openai.pictures import Url
from tasks.openai.settings import OpenAISettings
from tasks.reuse import Reusable

Model = Annotated[str, Field(pattern=r"^[\w.:-]+$", max_length=100)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Words = Annotated[str, Field(min_length=1, max_length=100)]
MOST_PROMPT = 2_000
_TIMED, _DIARIZE = "whisper-1", "gpt-4o-transcribe-diarize"


class Heard(Reusable):
    """A sound of at most 25 MiB: FLAC, MP3, MP4, M4A, Ogg, WAV or WebM. It is an artifact of yours
    (`audio`), or what a `url` holds.

    `max_minutes` is how long it may be, which a budget reserves. A longer one is not sent.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["audio"]}, {"required": ["url"]}]}
    )
    audio: str | None = Field(default=None, min_length=1, max_length=64)
    url: Url | None = None
    max_minutes: int = Field(default=60, ge=1, le=720)
    prompt: str | None = Field(default=None, min_length=1, max_length=MOST_PROMPT)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.audio is None) == (self.url is None):
            raise ValueError("a sound is either an artifact (`audio`) or at a `url`")
        return self


class TranscribeInput(Heard):
    """The sound, and what is wanted of it: its text alone, or `segments` with their times, `words`
    with theirs too, or who says what (`speakers`).

    Only some models can do each; without a `model`, one that can is taken. `languages` are those
    that may be spoken, as ISO 639-1 has them; some models take only one. The `prompt` says what the
    sound is about, and `keywords` are words in it; not every model takes them.
    """

    want: Literal["text", "segments", "words", "speakers"] = "text"
    model: Model | None = None
    languages: list[Language] = Field(default=[], max_length=10)
    keywords: list[Words] = Field(default=[], max_length=100)

    @model_validator(mode="after")
    def _is_taken(self) -> Self:
        if self.want == "speakers" and self.prompt is not None:
            raise ValueError("a model that tells speakers apart takes no `prompt`")
        if self.want != "text" and self.keywords:
            raise ValueError("`keywords` belong to a text without times and speakers")
        if self.want != "text" and len(self.languages) > 1:
            raise ValueError("a model that tells times or speakers takes one language at most")
        return self


class TranslateInput(Heard):
    """The sound, which is written down in English. The `prompt` says in English what the sound is
    about."""

    model: Model | None = None


def transcription(given: TranscribeInput) -> Json:
    """The body of the request for a transcription, without its sound."""
    model = given.model or _model_for(given.want)
    forms: dict[str, Json] = {
        "text": {"response_format": "json"},
        "segments": _verbose("segment"),
        "words": _verbose("segment", "word"),
        "speakers": {"response_format": "diarized_json", "chunking_strategy": "auto"},
    }
    body: Json = {"model": model, **forms[given.want]}
    if given.prompt is not None:
        body["prompt"] = given.prompt
    if given.keywords:
        body["keywords"] = list(given.keywords)
    if len(given.languages) == 1:
        body["language"] = given.languages[0]
    elif given.languages:
        body["languages"] = list(given.languages)
    return body


def _verbose(*granularities: str) -> Json:
    return {"response_format": "verbose_json", "timestamp_granularities": list(granularities)}


def _model_for(want: str) -> str:
    kinds = {"text": OpenAISettings.current().transcribe_model, "speakers": _DIARIZE}
    return kinds.get(want, _TIMED)


def translation(given: TranslateInput) -> Json:
    """The body of the request for a translation, without its sound. Only this form of the answer
    tells how long the sound was."""
    body: Json = {"model": given.model or OpenAISettings.current().translate_model}
    body["response_format"] = "verbose_json"
    return body if given.prompt is None else body | {"prompt": given.prompt}
