"""Check a brief and write a caption for it. A call that is repeated costs at most a few tokens."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from app.engine.call import Call
from app.errors import Permanent
from app.platform import ActionOutput, Effect, Json, Reuse, action
from app.prompts import Prompt
from tasks import tariffs
from tasks.openai.client import OpenAIApi, api, writing_seconds
from tasks.openai.costs import cost, most
from tasks.openai.pictures import Picture, data_url
from tasks.openai.settings import OpenAISettings
from tasks.reuse import Reusable, account_of, age_seconds

_MAX_BRIEF = 8000
_MAX_TOKENS = (300, 2_400, 19_200)
"""The tokens that the model may write, reasoning included: the second and third numbers are for a
caption that was cut off by the one before."""
_ATTEMPT_SECONDS = 60.0
_ALL_CALLS_SECONDS = 60.0 + len(_MAX_TOKENS) * 900.0
"""The limit of an attempt whose calls wait for room (see `writing_seconds`)."""
_COMPLETE = "chat.completions.create"
_SYSTEM = (
    "You write captions for a gallery of pictures. Answer with the caption only: at most two "
    "sentences, plain text, no quotation marks. Do not claim that the pictures are photographs "
    "of real events."
)


class ModerateInput(Reusable):
    """The text to check, a picture, or both, which are then judged together."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["brief"]}, {"required": ["picture"]}]}
    )
    brief: str | None = Field(default=None, min_length=1, max_length=_MAX_BRIEF)
    picture: Picture | None = None

    @model_validator(mode="after")
    def _has_any(self) -> Self:
        if self.brief is None and self.picture is None:
            raise ValueError("needs a `brief`, a `picture` or both")
        return self


@action("openai.moderate", input=ModerateInput, effect=Effect.REPEATABLE)
def moderate(call: Call, given: ModerateInput) -> Json:
    """Check the brief or the picture: {flagged, categories, model}.

    Raises Permanent `brief_refused` if it is flagged.
    """
    model = OpenAISettings.current().moderation_model
    tariffs.require_alive(
        call, "openai", model, operation="moderations.create", setting="OPENAI_MODERATION_MODEL"
    )
    # No intent is recorded: a moderation is free and leaves nothing at OpenAI that must be undone.
    result = api().moderate(model, given.brief, _address(call, given))
    if result["flagged"]:
        names = ", ".join(result["categories"]) or "an unnamed category"
        raise Permanent(
            f"the {'brief' if given.picture is None else 'picture'} was refused: {names}",
            code="brief_refused",
            detail={"categories": result["categories"]},
        )
    return result


def _address(call: Call, given: ModerateInput) -> str | None:
    picture = given.picture
    if picture is None or picture.artifact is None:
        return None if picture is None else picture.url
    return data_url(call, picture.artifact)


class Moderation(ActionOutput):
    """The judgement of the model `model`; what is flagged fails the step."""

    flagged: bool
    categories: list[str]
    model: str


moderate.describe(output=Moderation, example={"brief": "A circus in the rain"})


def _account() -> Json:
    settings = OpenAISettings.current()
    return account_of(settings.base_url, settings.api_key)


def _shown(call: Call, given: ModerateInput) -> Json:
    """What is shown, for an equal request: a picture of ours by its content. Behind the address of
    another there may be a new one each time, which only the age of the result bounds."""
    picture = given.picture
    if picture is None:
        return {}
    if picture.artifact is None:
        return {"url": picture.url}
    return {"picture": call.artifacts.digest(picture.artifact)}


def _moderation_seconds() -> float:
    settings = OpenAISettings.current()
    return min(settings.cache_seconds, settings.moderation_cache_seconds)


moderate.reuse = Reuse(
    account=_account,
    request=lambda call, given: {
        "model": OpenAISettings.current().moderation_model,
        "brief": given.brief,
        **_shown(call, given),
    },
    # A moderation is free, but a call takes a place under the limits of the model.
    seconds=lambda given: age_seconds(given, _moderation_seconds()),
    making_seconds=lambda: 60.0,
)


class CaptionInput(Reusable):
    """The brief that the caption is for, and optionally the caption's style; or a prompt, whose
    messages are sent instead of ours."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["brief"]}, {"required": ["prompt"]}],
            "dependentRequired": {"style": ["brief"]},
        }
    )
    brief: str | None = Field(default=None, min_length=1, max_length=_MAX_BRIEF)
    style: str | None = Field(default=None, min_length=1, max_length=200)
    prompt: Prompt | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if (self.brief is None) == (self.prompt is None):
            raise ValueError("a caption needs either a `brief` or a `prompt`")
        if self.style is not None and self.brief is None:
            raise ValueError("`style` belongs to a `brief`; a `prompt` says it itself")
        return self


@action(
    "openai.caption",
    input=CaptionInput,
    effect=Effect.REPEATABLE,
    attempt_seconds=_ALL_CALLS_SECONDS,
    slow=True,
)
def caption(call: Call, given: CaptionInput) -> Json:
    """Write the caption: {caption, model, tokens}.

    Raises Permanent `brief_refused` if the model refuses to write it, and `caption_cut_off` if it
    needs more tokens than any call may write.
    """
    made, tokens = _written(call, given)
    if made["refusal"] or made["finish_reason"] == "content_filter":
        raise Permanent(
            made["refusal"] or "OpenAI's content filter stopped the caption", code="brief_refused"
        )
    text = made["text"].strip()
    if not text:
        raise Permanent("the model returned an empty caption", code="empty_caption")
    return {"caption": text, "model": made["model"], "tokens": tokens}


class Caption(ActionOutput):
    """The caption, the model that wrote it, and the tokens that were read and written."""

    caption: str
    model: str
    tokens: int


def _attempt_seconds() -> float:
    """The limit of an attempt: at most levels of service, a call that is lost is soon made again.
    Where calls wait for room, no answer that is paid for is given up early."""
    reading = writing_seconds(OpenAISettings.current().service_tier)
    return _ATTEMPT_SECONDS if reading < _ATTEMPT_SECONDS else _ALL_CALLS_SECONDS


caption.seconds = _attempt_seconds
caption.describe(output=Caption, example={"brief": "A circus in the rain", "style": "dry"})
caption.reuse = Reuse(
    account=_account,
    request=lambda _, given: {
        "model": OpenAISettings.current().caption_model,
        **_said(given),
        "max_tokens": list(_MAX_TOKENS),
    },
    # Who wants another caption for the same brief says so (`cache: false`).
    seconds=lambda given: age_seconds(given, OpenAISettings.current().cache_seconds),
    # Where calls wait for room, whoever waits for one would itself wait as long, and pay too.
    making_seconds=lambda: 60.0 + max(60.0, writing_seconds(OpenAISettings.current().service_tier)),
)


@caption.costs_at_most
def caption_ceiling(given: CaptionInput) -> int:
    """The cost of all calls that may be made, if each writes as much as it may."""
    settings, read = OpenAISettings.current(), _most_tokens(_messages(_said(given)))
    model, tier = settings.caption_model, settings.service_tier
    return sum(most(model, read, written, tier) for written in _MAX_TOKENS)


@caption.costs_if_lost
def lost_cost(request: Json) -> int:
    """What OpenAI may bill for a call whose answer is lost: as many tokens as it may write. That is
    mostly too much; it stops a workflow early rather than late."""
    read = _most_tokens(_messages(request))
    return most(request["model"], read, request["max_tokens"], request.get("tier") or "auto")


def _most_tokens(messages: list[Json]) -> int:
    """More than the tokens of the messages: a token is at least one byte, and the model adds a few
    tokens to each message."""
    return sum(len(each["content"].encode("utf-8", "surrogatepass")) + 50 for each in messages)


def _said(given: CaptionInput) -> Json:
    """What the request says to the model."""
    if given.prompt is not None:
        return {"messages": [each.model_dump() for each in given.prompt.messages]}
    style = f"Style: {given.style}\n" if given.style else ""
    return {"system": _SYSTEM, "user": f"{style}Brief: {given.brief}"}


def _messages(request: Json) -> list[Json]:
    """The messages of a request, each {role, content}."""
    if "messages" in request:
        made: list[Json] = request["messages"]
        return made
    return [{"role": role, "content": request[role]} for role in ("system", "user")]


def _written(call: Call, given: CaptionInput) -> tuple[Json, int]:
    """The first answer that was not cut off, and the tokens of all answers."""
    openai, tokens = api(), 0
    tariffs.require_alive(
        call,
        "openai",
        OpenAISettings.current().caption_model,
        operation=_COMPLETE,
        setting="OPENAI_CAPTION_MODEL",
    )
    for number, max_tokens in enumerate(_MAX_TOKENS):
        request = {
            "model": OpenAISettings.current().caption_model,
            "tier": OpenAISettings.current().service_tier,
            **_said(given),
            "max_tokens": max_tokens,
        }
        made = call.once(_COMPLETE, request, lambda r, key: _complete(openai, r, key))
        # Also for an answer that an earlier attempt has recorded: it may not have booked it.
        of = f"{call.step_key}#{call.generation}#{number}"
        if made.get("is_counted", True):
            tariffs.spend(call, "openai", cost(made), of=of, model=made["model"])
        else:
            tariffs.assume(call, "openai", lost_cost(request), of=of, model=made["model"])
        tokens += made["input_tokens"] + made["output_tokens"]
        if made["finish_reason"] != "length":
            return made, tokens
    raise Permanent(
        f"the caption is not complete after {_MAX_TOKENS[-1]} tokens: the model writes or reasons"
        " too long; choose another (OPENAI_CAPTION_MODEL)",
        code="caption_cut_off",
    )


def _complete(openai: OpenAIApi, request: Json, key: str) -> Json:
    return openai.complete(
        request["model"],
        _messages(request),
        request["max_tokens"],
        key,
        tier=request.get("tier") or "auto",
    )
