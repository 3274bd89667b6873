"""What pictures cost: by the tokens that the answer tells, and the most beforehand.

A model reads tokens of text and of pictures, and makes tokens of pictures, and perhaps of text.
Each kind has a price of its own. https://platform.openai.com/docs/guides/image-generation
"""

from app.platform import Json
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.openai.client import count
from tasks.openai.images.inputs import sides

# For 1024 x 1024 pixels. The dearest of OpenAI's models took 272, 1767 and 7033 tokens for the
# first three qualities, by its tables and prices; the others are counted as twice the one before.
_TOKENS = {"low": 400, "medium": 2_000, "high": 8_000, "xhigh": 16_000, "max": 32_000}
_PLAIN, _FINEST = "high", "max"
_FIRST = ("gpt-image-1", "gpt-image-2-", "chatgpt-image")
_TEXT_TOKENS = 1_000
"""More than the tokens of text that a model makes beside a picture."""
_SEEN_TOKENS = 8_000
"""More than the tokens of a picture that is read: OpenAI counted at most 6240 and some hundreds."""


def tokens(seen: Json) -> Json | None:
    """The tokens in an answer {input_text, input_image, output_text, output_image}; None if it does
    not tell. Tokens whose kind it does not tell count as those of pictures, which cost more."""
    told = seen.get("usage")
    if told is None:
        return None
    read, made = count(told["input_tokens"]), count(told["output_tokens"])
    text = min(read, count((told.get("input_tokens_details") or {}).get("text_tokens")))
    said = min(made, count((told.get("output_tokens_details") or {}).get("text_tokens")))
    return {
        "input_text": text,
        "input_image": read - text,
        "output_text": said,
        "output_image": made - said,
    }


def cost(model: str, used: Json) -> Cost:
    """What so many tokens of a model cost."""
    units = {
        "input_tokens": used["input_text"],
        "image_tokens": used["input_image"],
        "output_tokens": used["output_text"],
        "image_output_tokens": used["output_image"],
    }
    return tariffs.book("openai").cost(model, units, current.today())


def most(request: Json) -> Cost:
    """The most that a call costs. A token of text is at least one byte."""
    pictures = len(request.get("images", ())) + ("mask" in request)
    used = {
        "input_text": len(request["prompt"].encode("utf-8", "surrogatepass")) + 200,
        "input_image": pictures * _SEEN_TOKENS,
        "output_text": request["n"] * _TEXT_TOKENS,
        "output_image": drawn(request),
    }
    return cost(request["model"], used)


def drawn(request: Json) -> int:
    """More than the tokens of the pictures that a call makes. A small one counts as 1024 x 1024."""
    width, height = sides(request["size"])
    each = _TOKENS[_quality(request)] * max(1.0, width * height / 1024**2)
    return int(request["n"] * each)


def _quality(request: Json) -> str:
    """The quality that is counted; for `auto` the finest that the model has."""
    quality: str = request["quality"]
    if quality != "auto":
        return quality
    model = f"{request['model']}-"
    return _PLAIN if model.startswith(_FIRST) else _FINEST
