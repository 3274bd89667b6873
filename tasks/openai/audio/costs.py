"""What it costs to hear a sound: some models are paid by the second, some by tokens.

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


def heard(request: Json, made: Json) -> Cost:
    """What it costs to write down a sound: by what the answer tells, else at the request's most.

    A model that is paid by the second may tell tokens. Then the length of the sound counts.
    """
    model, used = request["model"], made["used"]
    if used is None:
        return most_heard(model, request["seconds"], request.get("prompt", ""))
    if _is_by_second(model) and "seconds" not in used:
        used = {"seconds": made["seconds"] or request["seconds"]}
    if "seconds" in used:
        used = {"seconds": math.ceil(used["seconds"])}
    return tariffs.book("openai").cost(model, used, current.today())


def most_heard(model: str, seconds: float, prompt: str) -> Cost:
    """The most that it costs to write down a sound of so many seconds."""
    whole = math.ceil(seconds) + 1
    if _is_by_second(model):
        return tariffs.book("openai").cost(model, {"seconds": whole}, current.today())
    used = {
        "input_tokens": len(prompt.encode("utf-8", "surrogatepass")) + 200,
        "audio_tokens": whole * _HEARD_TOKENS,
        "output_tokens": whole * _WRITTEN_TOKENS + _LEAST_TOKENS,
    }
    return tariffs.book("openai").cost(model, used, current.today())


def _is_by_second(model: str) -> bool:
    return tariffs.book("openai").has_price(model, "seconds", current.today())
