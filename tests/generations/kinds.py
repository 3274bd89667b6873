"""The kinds of generation, as workflow types of one paid step each, and what may go wrong with it.

Pure. Invariant: what a kind asks of a vendor has the generation's mark in it where the vendor's
call has room for one, so that a fault meets its own generation.
"""

from dataclasses import dataclass
from typing import Any

from ops.sandbox.replicate.gallery import (
    COPY,
    HELLO_WORLD,
    MEASURE,
    OWNER,
    PAINTER,
    SILENCE,
    STYLE,
    THUMBNAIL,
    VARIANTS,
    WORDS,
)

Json = dict[str, Any]

DEPLOYMENT = f"{OWNER}/generations"
DESTINATION = f"{OWNER}/generations-style"
_SCHEMA: Json = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "lines": {"type": "integer"}},
    "required": ["title", "lines"],
    "additionalProperties": False,
}
_TEXT, _PICTURE, _MARK = ({"$": f"input.{name}"} for name in ("text", "picture", "mark"))
_FAIL: Json = {"step": "give_up", "action": "control.fail", "with": {"message": "as planned"}}
STEP = "make"

CALL = ("lost", "lost before", "cut", "limited", "broken", "overloaded", "timed out")
"""What can go wrong with any call that is paid for."""
HOOK = ("webhook lost", "webhook doubled", "webhook late")
_RESPONSE = (*CALL, "failed", "incomplete", "refused")
_PREDICTION = (*CALL, *HOOK, "failed", "aborted")


@dataclass(frozen=True)
class Kind:
    """A kind of generation: `operation` is the vendor's call that makes it, and `takes` says what
    may go wrong. With `is_undone`, the workflow fails afterwards and is undone."""

    name: str
    action: str
    given: Json
    operation: str
    takes: tuple[str, ...]
    is_undone: bool = False
    is_marked: bool = True

    @property
    def type(self) -> str:
        """The workflow type."""
        return f"generation_{self.name}"

    @property
    def vendor(self) -> str:
        """The platform that makes it."""
        return self.action.partition(".")[0]

    @property
    def recorded(self) -> str:
        """The name under which we record the call that makes it: one for all predictions."""
        is_prediction = self.operation.endswith("predictions.create")
        return "predictions.create" if is_prediction else self.operation

    @property
    def definition(self) -> Json:
        """The workflow type, as it is registered."""
        step = {"step": STEP, "action": self.action, "with": self.given}
        steps = [step, _FAIL] if self.is_undone else [step]
        return {
            "name": self.type,
            "input_schema": {
                "type": "object",
                "properties": {"picture": {"type": "string", "artifact": True}},
            },
            "do": {"sequence": steps},
        }


def _response(name: str, *, is_undone: bool = False, **given: Any) -> Kind:
    asked = {"input": _TEXT, "max_output_tokens": 500, **given}
    takes = (*_RESPONSE, *HOOK) if given["background"] else _RESPONSE
    return Kind(name, "openai.respond", asked, "responses.create", takes, is_undone)


def _prediction(name: str, given: Json, model: str = "", *, is_undone: bool = False) -> Kind:
    where = {"model": model} if model else {"deployment": DEPLOYMENT}
    operation = "predictions.create"
    if not model:
        operation = "deployments.predictions.create"
    elif model == PAINTER.full_name:
        operation = "models.predictions.create"
    return Kind(name, "replicate.predict", where | given, operation, _PREDICTION, is_undone)


def _of_picture(**more: Any) -> Json:
    return {"files": {"image": _PICTURE}, "input": {"mark": _MARK, **more}}


_TRAINED: Json = {
    "model": f"{STYLE.full_name}:{STYLE.version}",
    "destination": DESTINATION,
    "input": {"input_images": "https://pictures.example/all.zip", "trigger_word": _MARK},
}
KINDS = (
    Kind(
        "caption", "openai.caption", {"brief": _TEXT}, "chat.completions.create",
        (*CALL, "refused"),
    ),
    _response("answer", background=False),
    _response("data", background=False, answer_schema=_SCHEMA),
    _response("seen", background=False, images=[{"artifact": _PICTURE}]),
    _response("later", background=True),
    _response("data_later", background=True, answer_schema=_SCHEMA),
    Kind("vectors", "openai.embed", {"texts": [_TEXT, "Rain"]}, "embeddings.create", CALL),
    Kind(
        "judgement", "openai.moderate", {"brief": _TEXT, "picture": {"artifact": _PICTURE}},
        "moderations.create", (*CALL, "refused"),
    ),
    _prediction(
        "string", {"input": {"text": _TEXT}}, f"{HELLO_WORLD.full_name}:{HELLO_WORLD.version}"
    ),
    _prediction("stream", {"input": {"prompt": _TEXT}}, WORDS.full_name),
    _prediction("list", _of_picture(count=2), VARIANTS.full_name),
    _prediction("object", _of_picture(), MEASURE.full_name),
    _prediction("data_uri", _of_picture(), THUMBNAIL.full_name),
    _prediction("nothing", {"input": {"text": _TEXT}}, SILENCE.full_name),
    Kind(
        "swap", "replicate.predict",
        {"source": _PICTURE, "target": _PICTURE, "model": COPY.full_name},
        "predictions.create", (), is_marked=False,
    ),
    _prediction("official", {"input": {"prompt": _TEXT}}, PAINTER.full_name),
    _prediction("deployed", {"input": {"prompt": _TEXT}}),
    Kind("trained", "replicate.train", _TRAINED, "trainings.create", _PREDICTION),
    _response("answer_undone", background=False, is_undone=True),
    _response("later_undone", background=True, is_undone=True),
    _prediction("official_undone", {"input": {"prompt": _TEXT}}, PAINTER.full_name, is_undone=True),
    _prediction("object_undone", _of_picture(), MEASURE.full_name, is_undone=True),
    Kind(
        "trained_undone", "replicate.train", _TRAINED, "trainings.create", _PREDICTION,
        is_undone=True,
    ),
)  # fmt: skip
CREATES = {each.recorded for each in KINDS}
TROUBLES = (*CALL, *HOOK, "failed", "aborted", "incomplete", "refused")
