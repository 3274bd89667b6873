"""Definitions, their versions, and which version new workflows use."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from web.schemas.parts import Body, Query, TypeName


class Weights(Body):
    """For each version number, its share of the new workflows."""

    weights: Annotated[
        dict[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")], int],
        Field(max_length=100, examples=[{"1": 90, "2": 10}]),
    ]


class RegisterQuery(Query):
    """`activate=true`: new workflows use the registered version at once."""

    activate: bool = False


class DefinitionPath(BaseModel):
    """One type of workflow."""

    name: TypeName


class VersionPath(DefinitionPath):
    """One version of a type of workflow."""

    version: int = Field(ge=1, le=2**31 - 1)


class DiffPath(VersionPath):
    """Two versions of a type of workflow."""

    other: int = Field(ge=1, le=2**31 - 1)


class Share(BaseModel):
    """A version that is not retired; `weight` is its share if new workflows are spread."""

    version: int
    active: bool
    weight: int | None


class Definition(BaseModel):
    """A type of workflow and the schema of its input; `version` is the active version."""

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
    """All versions of a definition, newest first."""

    items: list[Version]


class ActivatedVersions(VersionList):
    """All versions after another one was activated. `warnings` say which ended workflows are
    archived or erased earlier now."""

    warnings: list[str]


class DefinitionFull(Version):
    """A version with its body."""

    body: dict[str, Any]


class Registered(BaseModel):
    """The version under which a body is registered. `warnings`: as of an activation."""

    name: str
    version: int
    is_new: bool
    is_active: bool
    warnings: list[str]


class PlannedStep(BaseModel):
    """A step that a workflow would have; `[]` in its key stands for the number of an item or loop
    iteration."""

    key: str
    action: str
    pointer: str


class Valid(BaseModel):
    """A valid definition and the steps of its workflows."""

    valid: Literal[True]
    steps: list[PlannedStep]


class ChangedNode(BaseModel):
    """A node that is in both versions, and its fields that differ."""

    key: str
    fields: list[str]


class DefinitionDiff(BaseModel):
    """The differences of two versions.

    `text` is a unified diff of the canonical JSON. `added`, `removed` and `changed` contain the
    keys of nodes. `others` contains the names of the other fields that differ.
    """

    text: str
    added: list[str]
    removed: list[str]
    changed: list[ChangedNode]
    others: list[str]
