"""What sounds cost: some models are paid by the second, some by tokens, some by the character.

Tokens of sound and of text have prices of their own.
https://developers.openai.com/api/docs/pricing
"""

import math

from app.platform import Json
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs

_HEARD_TOKENS = 25
"""More than the tokens of a second of sound: OpenAI's price of a minute is that of 1000."""
_WRITTEN_TOKENS, _LEAST_TOKENS = 15, 300
"""More than the tokens that a model writes for a second of speech, and for the shortest sound."""
_SPOKEN_TOKENS = 30
"""More than the tokens of a second of speech: OpenAI's price of a minute is that of 1250."""
_PAUSE_SECONDS, _BYTE_SECONDS, _DIGIT_SECONDS = 5.0, 0.25, 0.75
"""More than it takes to say nothing, a byte of a text, and a digit beside that. Fast languages have
15 letters in a second, and Chinese about 5 of three bytes each."""


def heard(request: Json, made: Json) -> Cost:
    """What it costs to write down a sound: by what the answer tells, else at the request's most.

    A model that is paid by the second may tell tokens. Then the length of the sound counts.
    """
    model, used = request["model"], made["used"]
    if used is None:
        return most_heard(request)
    if _is_by_second(model) and "seconds" not in used:
        used = {"seconds": made["seconds"] or request["seconds"]}
    if "seconds" in used:
        used = {"seconds": math.ceil(used["seconds"])}
    return tariffs.book("openai").cost(model, used, current.today())


def most_heard(request: Json) -> Cost:
    """The most that it costs to write down a sound of so many seconds."""
    model, whole = request["model"], math.ceil(request["seconds"]) + 1
    told = " ".join((request.get("prompt", ""), *request.get("keywords", ())))
    if _is_by_second(model):
        return tariffs.book("openai").cost(model, {"seconds": whole}, current.today())
    used = {
        "input_tokens": len(told.encode("utf-8", "surrogatepass")) + 200,
        "audio_tokens": whole * _HEARD_TOKENS,
        "output_tokens": whole * _WRITTEN_TOKENS + _LEAST_TOKENS,
    }
    return tariffs.book("openai").cost(model, used, current.today())


def _is_by_second(model: str) -> bool:
    return tariffs.book("openai").has_price(model, "seconds", current.today())


def is_by_character(model: str) -> bool:
    """Whether a model that speaks is paid by the character. The others tell the tokens."""
    return tariffs.book("openai").has_price(model, "characters", current.today())


def spoken(request: Json, used: Json | None) -> Cost:
    """What a speech costs: by its characters, or by the tokens that the answer tells."""
    if used is None or is_by_character(request["model"]):
        return most_spoken(request)
    return tariffs.book("openai").cost(request["model"], used, current.today())


def most_spoken(request: Json) -> Cost:
    """The most that a speech costs; for a model that is paid by the character, just what it costs.

    It is longer the slower it is spoken, and digits take longer to say than to write.
    """
    model, text = request["model"], request["input"]
    if is_by_character(model):
        return tariffs.book("openai").cost(model, {"characters": len(text)}, current.today())
    size = len(text.encode("utf-8", "surrogatepass"))
    digits = sum(each.isdigit() for each in text)
    normal = _PAUSE_SECONDS + size * _BYTE_SECONDS + digits * _DIGIT_SECONDS
    seconds = normal / min(1.0, request.get("speed", 1.0))
    told = request.get("instructions", "").encode("utf-8", "surrogatepass")
    used = {
        "input_tokens": size + len(told) + 200,
        "audio_output_tokens": math.ceil(seconds * _SPOKEN_TOKENS),
    }
    return tariffs.book("openai").cost(model, used, current.today())
