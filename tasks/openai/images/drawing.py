"""Draw pictures, or edit those of the user, and keep them with the mark of their provenance.

Invariant: the record of a call has no picture. It names the artifacts that hold them, so it is
small, and erasing the artifacts erases the pictures.

OpenAI has neither idempotency keys nor a list of pictures: what it has made and we have not kept is
gone, and paid. So pictures are kept within the call, before its record is written. These are the
places where a worker may die:

- Before the answer is here: the call is booked at its most and made again (`Lost`), at most as
  often as the action is tried.
- Before all its pictures are kept: the same. What the answer told of its cost is booked first, so
  both are booked: more than was paid, never less. A picture that was kept takes the place of the
  one with its number in the next answer.
- Before the call is recorded: the lookup finds the pictures, and nothing is paid twice.

A picture that cannot be decoded is no reason to lose the others, or what the call has cost. It is
left out. If no picture is left, the record says why, and the step fails after that.
"""

import hashlib

from app.engine.call import Call
from app.errors import Permanent, Unknown
from app.files import provenance
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
from tasks.openai.images import calls, costs
from tasks.openai.images.inputs import ImageInput, model_of, request_of
from tasks.openai.settings import OpenAISettings
from tasks.reuse import age_seconds

_TRIES = 3
_KEEPING_SECONDS = 120.0
Files = tuple[list[calls.File], calls.File | None]
"""The pictures that are edited, and the mask."""
_ENDINGS = {"png": "png", "jpeg": "jpg"}


@action(
    "openai.image",
    input=ImageInput,
    effect=Effect.LOOKUP,
    attempt_seconds=calls.READ_SECONDS + _KEEPING_SECONDS,
    tries=_TRIES,
    slow=True,
)
def image(call: Call, given: ImageInput) -> Json:
    """Draw pictures, or edit yours: {picture, pictures, model, size, quality, tokens}.

    Raises Permanent `refused` if OpenAI does not allow the prompt, a picture or the result, and
    `no_picture` if a picture of yours cannot be sent.
    """
    operation = calls.EDIT if given.images else calls.CREATE
    where = "the step's `model`, or OPENAI_IMAGE_MODEL"
    tariffs.require_alive(call, "openai", model_of(given), operation=operation, setting=where)
    request = request_of(given)
    # Read before the call is recorded: an error after that would make it a call that may be paid.
    is_read = bool(given.images) and not _is_sent(call, operation)
    files = calls.files_of(call, request) if is_read else ([], None)
    made = call.once(operation, request, lambda r, key: _drawn(call, r, files, key))
    if made["fault"] is not None:
        raise Permanent(made["fault"]["message"], code=made["fault"]["code"])
    shown = {name: made[name] for name in ("pictures", "model", "size", "quality", "tokens")}
    return {"picture": made["pictures"][0], **shown}


def _is_sent(call: Call, operation: str) -> bool:
    """Whether the pictures of this generation were asked for, or may have been."""
    return any(each.generation == call.generation for each in call.sendings(operation))


def _drawn(call: Call, request: Json, files: Files, key: str) -> Json:
    """Let the model draw and keep the pictures: {pictures, model, size, quality, tokens, fault}."""
    fault: Json = {"code": "no_picture", "message": "OpenAI has made no picture"}
    try:
        seen = calls.create(request, *files, key)
    except (Permanent, Unknown) as err:
        if err.code != calls.TOO_LARGE:
            raise
        # It has come, and is paid.
        fault = {"code": err.code, "message": err.message}
        seen = {"pictures": [], "tokens": None}
    used = seen["tokens"]
    spent = costs.most(request) if used is None else costs.cost(request["model"], used)
    tariffs.spend(call, "openai", spent, of=key, model=request["model"])
    kept: list[Json] = []
    for number, data in enumerate(seen.pop("pictures")):
        try:
            kept.append(_kept(call, _name(request, number), data))
        except Permanent as err:
            fault = {"code": err.code, "message": err.message}
    return _record(request, kept, None if kept else fault) | seen


def _record(request: Json, kept: list[Json], fault: Json | None = None) -> Json:
    """The record of a call, for which OpenAI's answer told nothing."""
    untold = dict.fromkeys(("size", "quality", "tokens"))
    return {"fault": fault, "pictures": kept, "model": request["model"], **untold}


def _kept(call: Call, name: str, data: bytes) -> Json:
    marked, digest = provenance.mark(data), hashlib.sha256(data).hexdigest()
    return call.artifacts.write(name, marked.data, marked.content_type, vendor_sha256=digest)


def _name(request: Json, number: int) -> str:
    return f"picture-{number}.{_ENDINGS[request['output_format']]}"


class Tokens(ActionOutput):
    """The tokens of text and of pictures that were read, and those that were made."""

    input_text: int
    input_image: int
    output_text: int
    output_image: int


class Pictures(ActionOutput):
    """The pictures, the first of them, and the size and quality that OpenAI tells.

    `tokens` are null if OpenAI does not tell them; then the call is booked at its most.
    """

    picture: KeptFile
    pictures: tuple[KeptFile, ...]
    model: str
    size: str | None
    quality: str | None
    tokens: Tokens | None


image.describe(
    output=Pictures,
    example={"prompt": "A poster of a circus in the rain", "size": "1024x1536", "quality": "low"},
)


@image.looked_up
def find_pictures(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the pictures of a call in our own store: OpenAI cannot be asked for them."""
    if intent.generation != call.generation:
        return Lost()
    names = [_name(intent.request, number) for number in range(intent.request["n"])]
    kept = [each for each in map(call.artifacts.stored, names) if each is not None]
    return Found(_record(intent.request, kept)) if len(kept) == len(names) else Lost()


@image.compensation
def erase(call: Call, _: Undo) -> Json:
    """Erase the pictures. Nothing of them stays at OpenAI."""
    return erased(call)


def _equal_request(call: Call, given: ImageInput) -> Json:
    request = request_of(given) | {"mark": provenance.DIGITAL_SOURCE_TYPE}
    request["images"] = [call.artifacts.digest(each) for each in given.images]
    return request if given.mask is None else request | {"mask": call.artifacts.digest(given.mask)}


def _adopted(call: Call, output: Json) -> Json:
    own = [copied(call, each) for each in output["pictures"]]
    return output | {"picture": own[0], "pictures": own}


image.reuse = Reuse(
    account=lambda: OpenAISettings.current().account(),
    request=_equal_request,
    # Each picture is another sample, so that a step must ask for a known one.
    seconds=lambda given: age_seconds(given, 0.0),
    making_seconds=lambda: calls.READ_SECONDS + _KEEPING_SECONDS,
    adopt=_adopted,
)


@image.costs_at_most
def image_ceiling(given: ImageInput) -> int:
    """The cost of all pictures of one call, at the most tokens that their quality may take."""
    return lost_cost(request_of(given))


@image.costs_if_lost
def lost_cost(request: Json) -> int:
    """What OpenAI may bill for a call whose answer is lost."""
    return costs.most(request).micro_usd
