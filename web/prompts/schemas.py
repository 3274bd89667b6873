"""Prompts, their versions and labels, and how these moved."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from app.prompts import LABEL, NAME, VARIABLE, Role
from chains.prompts.body import PromptBody
from web.schemas.parts import Body, Query, Reason

PromptName = Annotated[str, Field(pattern=NAME, examples=["caption"])]
Label = Annotated[str, Field(pattern=LABEL, examples=["production"])]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class CreatePrompt(PromptBody):
    """A version of the prompt `name`."""

    name: PromptName


class CreateQuery(Query):
    """`label`: it points to the version at once, in the same transaction."""

    label: Label | None = None


class PromptPath(BaseModel):
    """One prompt of your project."""

    name: PromptName


class PromptVersionPath(PromptPath):
    """One version of a prompt."""

    version: Version


class PromptDiffPath(PromptVersionPath):
    """Two versions of a prompt."""

    other: Version


class LabelPath(PromptPath):
    """A label of a prompt."""

    label: Label


class RollBackLabel(Body):
    """What is known of the label, and why it moves."""

    from_version: Version | None = Field(
        default=None,
        description="The version to which it points now, as far as you know; 409 if it does not. So"
        " a request that is sent twice moves the label once.",
    )
    reason: Reason | None = None


class MoveLabel(RollBackLabel):
    """The version to which a label shall point."""

    version: Version


class TryPrompt(Body):
    """Values for the variables of a version: that of a label or of a number, or the newest."""

    label: Label | None = None
    version: Version | None = None
    variables: dict[Annotated[str, Field(pattern=VARIABLE)], Any] = Field(
        default_factory=dict, max_length=100, examples=[{"brief": "A circus in the rain"}]
    )


class MadeVersion(BaseModel):
    """The version that has the body that was sent. `hash` is the SHA-256 of the stored body."""

    name: str
    version: int
    hash: str
    is_new: bool


class Prompt(BaseModel):
    """A prompt: its newest version, and to which version each of its labels points."""

    name: str
    description: str | None = Field(description="That of the newest version.")
    newest_version: int | None
    labels: dict[str, int]
    created_at: datetime


class PromptList(BaseModel):
    """The prompts of your project."""

    items: list[Prompt]


class PromptVersion(BaseModel):
    """A version of a prompt, and the labels that point to it."""

    name: str
    version: int
    hash: str
    description: str | None
    labels: list[str]
    created_at: datetime
    created_by: UUID


class PromptVersionList(BaseModel):
    """All versions of a prompt, newest first."""

    items: list[PromptVersion]


class PromptVersionFull(PromptVersion):
    """A version with its body, in which a `text` has become a message and all variables stand."""

    body: dict[str, Any]


class PromptDiff(BaseModel):
    """What changed from a version to another: a unified diff, empty if nothing did."""

    text: str


class Message(BaseModel):
    """A message for a model."""

    role: Role
    content: str


class TriedPrompt(BaseModel):
    """The messages that a step would send, and the settings that its input would get.

    `characters` and `estimated_tokens` are those of all messages together; a token is estimated as
    four bytes of UTF-8.
    """

    name: str
    version: int
    label: str | None
    hash: str
    messages: list[Message]
    settings: dict[str, Any]
    characters: int
    estimated_tokens: int


class PromptLabel(BaseModel):
    """A label: to which version it points, and its last move."""

    label: str
    version: int
    from_version: int | None
    moved_at: datetime
    moved_by: UUID
    is_rollback: bool
    reason: str | None


class PromptLabelList(BaseModel):
    """The labels of a prompt, by name."""

    items: list[PromptLabel]


class MovedLabel(BaseModel):
    """A label after a change. `changed`: it points to another version than before."""

    name: str
    label: str
    version: int
    from_version: int | None
    moved_at: datetime
    changed: bool


class PromptMove(BaseModel):
    """A move of a label; without `to_version` it was removed. `taken_back_at`: a rollback undid
    it."""

    label: str
    from_version: int | None
    to_version: int | None
    moved_at: datetime
    moved_by: UUID
    is_rollback: bool
    reason: str | None
    taken_back_at: datetime | None


class PromptMoveList(BaseModel):
    """The newest 200 moves of a label, newest first."""

    items: list[PromptMove]
