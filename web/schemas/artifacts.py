"""Artifacts: uploaded photographs and generated pictures."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from web.schemas.parts import Query


class ArtifactQuery(Query):
    """`metadata=true` returns JSON metadata instead of the content."""

    metadata: bool = False


class FileQuery(Query):
    """The parameters of a signed link; `expires` is in epoch seconds."""

    expires: int = Field(ge=0, le=2**53)
    signature: str = Field(pattern=r"^[0-9a-f]{64}$")


class ArtifactPath(BaseModel):
    """One artifact."""

    artifact_id: UUID


class Artifact(BaseModel):
    """A stored file; `url` is a signed link that is valid for a day."""

    id: UUID
    name: str
    content_type: str
    size: int
    width: int | None
    height: int | None
    sha256: str
    vendor_sha256: str | None
    workflow_id: UUID | None
    step_key: str | None
    created_at: datetime
    erased_at: datetime | None
    url: str | None
