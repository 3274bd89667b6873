"""What a step asks a model: the input of `openai.respond`."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from app.errors import Permanent
from app.payload import text_of
from app.platform import Json
from tasks.openai.client import PATIENT
from tasks.openai.pictures import Picture
from tasks.openai.responses.bar import Quality
from tasks.openai.responses.forms import schema_fault
from tasks.openai.settings import OpenAISettings, Tier
from tasks.reuse import Reusable
from tasks.routing.inputs import ModelRoute

MOST_CHARACTERS = 256_000
_MOST_SCHEMA = 64_000
_MOST_IMAGES = 10
_SHORT_TOKENS = 2_000
"""A model writes so much within the time for which a call is waited for."""
_LONG_EFFORTS = ("high", "xhigh", "max")

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Image(Picture):
    """A picture that the model sees. `detail` says how closely it looks, which costs tokens.

    `auto` is sent as `high`: some models take their own for `original`, which has no bound that a
    budget could reserve. `original`, which not all models know, reserves 30,000 patches.
    """

    detail: Literal["low", "high", "original", "auto"] = "auto"


class RespondInput(Reusable):
    """What a model is asked. `model` without a value is the configured one.

    `answer_schema` is a JSON Schema that the answer must have, as OpenAI's strict mode takes it:
    an object, each object with all its properties in `required` and `additionalProperties: false`.
    `max_output_tokens` covers what the model thinks too. In the `background`, the step holds no
    worker while the model works; by default it is so for what may take long, and that cannot be
    had at once (`background: false`).

    `route` names several models instead of one; another is asked if one has no room, or if its
    answer is below the bar of `quality`.
    """

    input: str = Field(min_length=1, max_length=MOST_CHARACTERS)
    instructions: str | None = Field(default=None, min_length=1, max_length=MOST_CHARACTERS)
    images: list[Image] = Field(default=[], max_length=_MOST_IMAGES)
    answer_schema: Json | None = None
    model: str | None = Field(default=None, pattern=r"^[\w.:-]+$", max_length=100)
    max_output_tokens: int = Field(default=4_000, ge=16, le=128_000)
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Tier | None = None
    background: bool | None = None
    route: ModelRoute | None = None
    quality: Quality | None = None

    @field_validator("answer_schema")
    @classmethod
    def _is_schema(cls, schema: Json | None) -> Json | None:
        if schema is None:
            return None
        if len(text_of(schema)) > _MOST_SCHEMA:
            raise ValueError(f"must have at most {_MOST_SCHEMA} characters")
        fault = schema_fault(schema)
        if fault is not None:
            raise ValueError(fault)
        return schema

    @model_validator(mode="after")
    def _may_wait(self) -> Self:
        if self.background is False and self.service_tier in PATIENT:
            raise ValueError(f"`{self.service_tier}` waits for room: use it in the background")
        if self.background is False and _is_long(self):
            raise ValueError(
                f"at once (`background: false`) a model may write at most {_SHORT_TOKENS:,} tokens"
                " (`max_output_tokens`), and think with no more effort than `medium`, because a"
                " worker waits for it: leave `background` out"
            )
        if self.model is not None and self.route is not None:
            raise ValueError("give `model` or `route`, not both")
        return self


def is_background(given: RespondInput) -> bool:
    """Whether the model works in the background.

    What may take longer than a call is waited for does so by default, and so does what waits for
    room: a worker that waited would hold a slot, and an answer that it no longer waits for is paid.
    Raises Permanent if the configured level of service waits for room, and the step cannot.
    """
    waits = tier_of(given) in PATIENT
    if given.background is False and waits:
        raise Permanent(
            f"the level of service {tier_of(given)} (OPENAI_SERVICE_TIER) waits for room: leave"
            " `background` out, or choose another `service_tier`",
            code="needs_background",
        )
    return waits or _is_long(given) if given.background is None else given.background


def _is_long(given: RespondInput) -> bool:
    """Whether a model may work for longer than a call is waited for."""
    return given.max_output_tokens > _SHORT_TOKENS or given.reasoning_effort in _LONG_EFFORTS


def model_of(given: RespondInput) -> str:
    """The model that is asked."""
    return given.model or OpenAISettings.current().respond_model


def tier_of(given: RespondInput) -> Tier:
    """The level of service that is asked for."""
    return given.service_tier or OpenAISettings.current().service_tier
