"""Vectors of texts. A call that is repeated costs a few tokens, and changes nothing at OpenAI.

https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
import struct
from typing import Annotated

from pydantic import Field

from app.engine.call import Call
from app.outbound import http
from app.platform import ActionOutput, Effect, Json, Reuse, action
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tasks.openai import limits
from tasks.openai.client import api, count
from tasks.openai.settings import OpenAISettings
from tasks.reuse import Reusable, account_of, age_seconds

CREATE = "embeddings.create"
_MOST_TEXTS = 64
"""Their vectors of the largest size fit an output."""
_FLOAT_BYTES = 4

Text = Annotated[str, Field(min_length=1, max_length=30_000)]


class EmbedInput(Reusable):
    """The texts. `dimensions` shortens the vectors, for the models that can."""

    texts: list[Text] = Field(min_length=1, max_length=_MOST_TEXTS)
    model: str | None = Field(default=None, pattern=r"^[\w.:-]+$", max_length=100)
    dimensions: int | None = Field(default=None, ge=1, le=3072)


@action("openai.embed", input=EmbedInput, effect=Effect.REPEATABLE)
def embed(call: Call, given: EmbedInput) -> Json:
    """Make a vector of each text, in their order: {vectors, model, tokens}."""
    request = _request(given)
    where = "the step's `model`, or OPENAI_EMBED_MODEL"
    tariffs.require_alive(call, "openai", request["model"], operation=CREATE, setting=where)
    made = call.once(CREATE, request, create)
    of = f"{call.step_key}#{call.generation}"
    if made.get("is_counted", True):
        spent = cost(made["model"], made["tokens"])
        tariffs.spend(call, "openai", spent, of=of, model=made["model"])
    else:
        tariffs.assume(call, "openai", lost_cost(request), of=of, model=made["model"])
    vectors = [_floats(each) for each in made["vectors"]]
    return {"vectors": vectors, "model": made["model"], "tokens": made["tokens"]}


def _request(given: EmbedInput) -> Json:
    model = given.model or OpenAISettings.current().embed_model
    request: Json = {"model": model, "input": given.texts, "encoding_format": "base64"}
    return request if given.dimensions is None else request | {"dimensions": given.dimensions}


def create(request: Json, key: str) -> Json:
    """Make the vectors: {vectors, model, is_counted, tokens}; each is 32-bit floats in base64, the
    first byte of each float the lowest. If not `is_counted`, OpenAI has not told the tokens. Raises
    Unknown if the answer is lost."""
    return api().perform(
        CREATE,
        lambda sdk: sdk.embeddings.with_raw_response.create(
            **request, extra_headers={"Idempotency-Key": key}
        ),
        lambda seen: _made(seen, request),
        limits.demand(request["model"], "".join(request["input"]), 1),
        is_billed=True,
    )


def _made(seen: Json, request: Json) -> Json:
    found = {count(each["index"]): each["embedding"] for each in seen["data"]}
    vectors = [found[number] for number in range(len(request["input"]))]
    for each in vectors:
        _floats(each)  # raises for what cannot be used
    told = (seen.get("usage") or {}).get("prompt_tokens")
    return {
        "vectors": vectors,
        "model": http.text_at(seen, "model"),
        "is_counted": told is not None,
        "tokens": count(told),
    }


def _floats(vector: str) -> list[float]:
    data = base64.b64decode(vector, validate=True)
    if not data or len(data) % _FLOAT_BYTES:
        raise ValueError("not a vector")
    found = struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data)
    if not all(abs(each) <= 1e6 for each in found):
        raise ValueError("not a vector of numbers")
    return [round(each, 9) for each in found]


def cost(model: str, tokens: int) -> Cost:
    """What the vectors of so many tokens cost."""
    return tariffs.book("openai").cost(model, {"input_tokens": tokens}, current.today())


class Vectors(ActionOutput):
    """A vector for each text, the model that made them, and the tokens that it read."""

    vectors: list[list[float]]
    model: str
    tokens: int


embed.describe(output=Vectors, example={"texts": ["A circus in the rain"]})


def _account() -> Json:
    settings = OpenAISettings.current()
    return account_of(settings.base_url, settings.api_key)


embed.reuse = Reuse(
    account=_account,
    request=lambda _, given: _request(given),
    # The vectors follow from the texts and the model.
    seconds=lambda given: age_seconds(given, OpenAISettings.current().cache_seconds),
    making_seconds=lambda: 60.0,
)


@embed.costs_at_most
def embed_ceiling(given: EmbedInput) -> int:
    """The cost of all that is read."""
    return lost_cost(_request(given))


@embed.costs_if_lost
def lost_cost(request: Json) -> int:
    """What OpenAI may bill for a call whose answer is lost: a token is at least one byte."""
    tokens = sum(len(each.encode("utf-8", "surrogatepass")) + 2 for each in request["input"])
    return cost(request["model"], tokens).micro_usd
