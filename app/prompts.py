"""A field of an action's input that takes a prompt: messages for a model, made from a template.

Such a field has the type `Prompt`. In a definition it names a prompt ({name, label or version,
variables}). Before the action runs, the messages of a version are put there, with what says which
version that was. So the step's recorded input tells that too, and a retry sends the same messages.
"""

from copy import deepcopy
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from app.platform import ActionInput

Role = Literal["system", "developer", "user", "assistant"]

MOST_CHARACTERS = 256_000
"""Of all messages of a prompt together, with the values of the variables."""

NAME = r"^[a-z][a-z0-9_-]{0,62}$"
LABEL = r"^[a-z][a-z0-9_.-]{0,62}$"
VARIABLE = r"^[a-z][a-z0-9_]{0,62}$"


class Message(ActionInput):
    """One message for a model: whose it is, and its text."""

    role: Role
    content: str


class Prompt(ActionInput):
    """The messages of a version of a prompt. `hash` is the SHA-256 of the version, as its list
    shows it; `label` is the one by which the version was found, if it was."""

    name: str = Field(pattern=NAME)
    version: int = Field(ge=1)
    label: str | None = None
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    messages: list[Message] = Field(min_length=1, max_length=100)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """What the author of a definition writes there. Registration checks more of it."""
        return deepcopy(REFERENCE)

    @property
    def characters(self) -> int:
        """The characters of all its messages."""
        return sum(len(each.content) for each in self.messages)


REFERENCE: dict[str, Any] = {
    "title": "Prompt",
    "description": "A prompt by its name: the version to which the label points when the workflow"
    " starts, or the version of this number; and the values of its variables.",
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": NAME},
        "label": {"type": "string", "pattern": LABEL},
        "version": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "variables": {"type": "object"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
"""The JSON Schema of a prompt in a definition."""


@lru_cache(maxsize=512)
def prompt_fields(model: type[ActionInput]) -> tuple[str, ...]:
    """The fields of an action's input that take a prompt, as a definition writes them.

    Such a field takes one prompt, or none. Raises TypeError if it takes a list of them, say.
    """
    found = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if kind is Prompt or (_is_optional(kind) and Prompt in get_args(kind)):
            found.append(field.alias or name)
        elif _holds_prompt(kind):
            raise TypeError(f"{model.__name__}.{name}: a field takes one Prompt, or Prompt | None")
    return tuple(found)


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _holds_prompt(kind: Any) -> bool:
    return kind is Prompt or any(map(_holds_prompt, get_args(kind)))
