"""The archive: its state, runs, holds and restored workflows."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from chains.language.retention import KeptFor
from web.schemas.parts import Body, Query, Reason, TypeName


class ArchivePath(BaseModel):
    """A workflow; what is done concerns its root and all children of that."""

    workflow_id: UUID


class Keeping(BaseModel):
    """The seconds for which ended workflows are kept in PostgreSQL, and then in the archive; null:
    for ever."""

    hot_seconds: float | None
    archive_seconds: float | None


class LastManifest(BaseModel):
    """The newest manifest. Its hash covers all manifests before it."""

    number: int
    sha256: str
    made_at: datetime


class ArchiveState(BaseModel):
    """What was archived since the beginning, how long workflows are kept, and what the last run
    did.

    `unnamed` are bundles that no manifest names yet; the next run makes one. `types` are those
    whose definitions say how long their workflows are kept.
    """

    bundles: int
    workflows: int
    bytes: int
    erased: int = Field(description="Bundles that were erased or replaced.")
    unnamed: int
    expiring: int = Field(description="Archived workflows that may be erased within seven days.")
    held: int = Field(description="Open holds.")
    manifest: LastManifest | None
    default: Keeping
    types: dict[str, Keeping]
    ran_at: datetime | None
    last_run: dict[str, Any]


class RunArchive(Body):
    """A run, or a dry run, which only counts what a run would archive."""

    dry_run: bool = True
    seconds: float = Field(default=10.0, gt=0, le=20, description="The run ends after about this.")
    share: float | None = Field(
        default=None, gt=0, le=1, description="Work only this part of the time; null: as set."
    )
    type: TypeName | None = Field(default=None, description="Dry run: count only this type.")
    hot: KeptFor | None = Field(
        default=None,
        description="Dry run: count as if the workflows of `type`, or of all types that say"
        " nothing, were kept only so long in PostgreSQL.",
    )

    @model_validator(mode="after")
    def _assumes(self) -> "RunArchive":
        if not self.dry_run and (self.type is not None or self.hot is not None):
            raise ValueError("`type` and `hot` are only for a dry run")
        return self


class ArchiveRun(BaseModel):
    """What a run did, or what one would archive.

    `refused` counts families that may not be archived, by reasons. `is_complete`: nothing is left
    that is old enough. `is_busy`: another run works, so nothing was done."""

    dry_run: bool
    is_busy: bool
    is_complete: bool
    families: int = Field(description="Root workflows with their children.")
    workflows: int
    refused: dict[str, int]
    types: dict[str, int] = Field(description="Of a dry run: families by type.")
    bytes: int = 0
    changed: int = 0
    failed: int = 0
    erased: int = 0
    announced: int = Field(
        default=0, description="Workflows that are erased in seven days, being kept less long now."
    )
    expiring: int = Field(
        default=0, description="Dry run: archived workflows that may be erased within seven days."
    )
    removed: int = 0
    swept: int = 0
    manifests: int = 0


class Restored(BaseModel):
    """The root of the workflows that are rows again, and how many they are."""

    root_id: UUID
    workflows: int
    changed: bool = Field(description="False if they were restored before.")


class HoldWorkflow(Body):
    """Why the workflow is held."""

    reason: Reason


class HeldFamily(BaseModel):
    """The root of the workflows that are held, or held no more."""

    root_id: UUID


class HoldsQuery(Query):
    """Which page of the open holds."""

    after: UUID | None = Field(default=None, description="`next_after` of the previous page.")
    limit: int = Field(default=50, ge=1, le=200)


class Hold(BaseModel):
    """An open hold."""

    id: UUID
    root_id: UUID
    reason: str
    held_by: str
    held_at: datetime


class HoldPage(BaseModel):
    """Open holds, oldest first."""

    items: list[Hold]
    next_after: UUID | None
