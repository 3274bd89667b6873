"""Definitions, their versions, and which version starts."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from web.schemas.parts import Body, Query, TypeName


class Weights(Body):
    """The share of new workflows for each version, by its number."""

    weights: Annotated[
        dict[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")], int],
        Field(max_length=100, examples=[{"1": 90, "2": 10}]),
    ]


class RegisterQuery(Query):
    """`activate=true`: new workflows start on it at once."""

    activate: bool = False


class DefinitionPath(BaseModel):
    """One type of workflow."""

    name: TypeName


class VersionPath(DefinitionPath):
    """One version of it."""

    version: int = Field(ge=1, le=2**31 - 1)


class DiffPath(VersionPath):
    """Two versions of it."""

    other: int = Field(ge=1, le=2**31 - 1)


class Share(BaseModel):
    """A version that may be started; `weight` while starts are spread."""

    version: int
    active: bool
    weight: int | None


class Definition(BaseModel):
    """A type of workflow and what its input must look like; `version` is the active one."""

    name: str
    version: int
    description: str | None
    input_schema: dict[str, Any]
    versions: list[Share]


class DefinitionList(BaseModel):
    """All types that can be started."""

    items: list[Definition]


class Version(BaseModel):
    """One version of a definition; `running` counts its workflows that have not ended."""

    name: str
    version: int
    active: bool
    weight: int | None
    description: str | None
    checksum: str
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    running: int


class VersionList(BaseModel):
    """All versions of a definition, the newest first."""

    items: list[Version]


class DefinitionFull(Version):
    """A version with its body."""

    body: dict[str, Any]


class Registered(BaseModel):
    """The version that a body has."""

    name: str
    version: int
    is_new: bool
    is_active: bool


class PlannedStep(BaseModel):
    """A row that a workflow would have; `[]` in its key is the number of an item or turn."""

    key: str
    action: str
    pointer: str


class Valid(BaseModel):
    """A definition without faults, laid out."""

    valid: Literal[True]
    steps: list[PlannedStep]


class ChangedNode(BaseModel):
    """A node of both versions, and its fields that differ."""

    key: str
    fields: list[str]


class DefinitionDiff(BaseModel):
    """What differs: canonical JSON as a unified diff, nodes by key, fields of the definition."""

    text: str
    added: list[str]
    removed: list[str]
    changed: list[ChangedNode]
    others: list[str]
