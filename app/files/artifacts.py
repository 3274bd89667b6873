"""Artifacts: the photographs that users upload, and the files that steps copy from platforms.

Invariant: a row without `erased_at` has its file. The file is written before the row, and removed
before `erased_at` is set. The row of an erased artifact remains, with the hash of its content.
A picture is stored upright and without metadata; size and hash are those of what is stored.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import (
    Connection,
    RowMapping,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from uuid_utils.compat import uuid7

from app import clock
from app.db import begin
from app.db.models import ArtifactRow, StepRow, User, WorkflowRow
from app.errors import InvalidInput, NotFound, Permanent, TooLarge
from app.files import provenance, signed_links
from app.files.decoders import Turn
from app.files.decoding import Picture
from app.files.storage import storage
from app.platform import Json
from app.protocol.claims import Fenced
from app.settings import current

LINK_SECONDS = 86_400
_UPLOAD_SECONDS = 5.0
"""How long an upload waits for a decoder."""
_NAMESPACE = UUID("6f0c9f0e-52f5-5c0b-9f3a-6b0f5b8f7f11")
_UNSAFE_IN_NAMES = re.compile(r"[^\w.() -]+")
COLUMNS = (
    ArtifactRow.id,
    ArtifactRow.workflow_id,
    ArtifactRow.step_key,
    ArtifactRow.name,
    ArtifactRow.content_type,
    ArtifactRow.size,
    ArtifactRow.width,
    ArtifactRow.height,
    ArtifactRow.sha256,
    ArtifactRow.vendor_sha256,
    ArtifactRow.storage_key,
    ArtifactRow.created_at,
    ArtifactRow.erased_at,
)


@dataclass(frozen=True)
class Blob:
    """One artifact with its content."""

    id: UUID
    data: bytes
    content_type: str
    sha256: str
    width: int | None
    height: int | None
    name: str


class Artifacts:
    """The files that one step of one workflow may read and write."""

    def __init__(
        self,
        workflow_id: UUID,
        step_key: str,
        user_id: UUID,
        *,
        generation: int = 0,
        fence: UUID | None = None,
    ) -> None:
        """`fence` is the id of the claim that may write. A worker that has lost its claim stores
        no file: `write` raises Fenced. `generation` is that of the claim."""
        self.fence = fence
        self.generation = generation
        self.workflow_id = workflow_id
        self.step_key = step_key
        self.user_id = user_id

    def read(self, artifact_id: UUID | str) -> Blob:
        """Read an artifact. Raises Permanent if it is erased, damaged or not this user's."""
        row = self._present(artifact_id)
        try:
            data = storage().read(row["storage_key"])
        except NotFound as err:
            raise Permanent(f"artifact {artifact_id} has no file", code="artifact_missing") from err
        if hashlib.sha256(data).hexdigest() != row["sha256"]:
            raise Permanent(f"artifact {artifact_id} is damaged on disk", code="artifact_damaged")
        about = {name: row[name] for name in ("id", "content_type", "sha256", "name")}
        return Blob(data=data, width=row["width"], height=row["height"], **about)

    def write(
        self,
        name: str,
        data: bytes,
        content_type: str,
        *,
        key: str | None = None,
        vendor_sha256: str | None = None,
        is_raw: bool = False,
    ) -> Json:
        """Keep a result of the step, and return `{id, url, content_type, size, sha256, ...}`.

        A picture is kept without metadata (but with the mark of `provenance`), and upright; if
        `is_raw`, as it came, and without a size in pixels. The content is on disk before this
        returns. The id follows from workflow, step, generation and `key` (without one, the name),
        so that a replay finds the earlier artifact and writes no second one. A new generation has a
        result of its own. Raises Permanent if an image cannot be decoded or the artifact was
        erased, Fenced if the step's claim is lost.
        """
        known = self.kept(key or name)
        if known is not None:
            return known
        given = (self._id(key or name), name, data, content_type, vendor_sha256)
        return self._present_only(self._write(*given, is_cleaned=not is_raw))

    def kept(self, key: str) -> Json | None:
        """The result that this generation of the step has kept under a key, as `write` returns it;
        None if there is none. Raises Permanent if it was erased."""
        row = _find(self._id(key), self.user_id)
        return None if row is None else self._present_only(row)

    def _id(self, key: str) -> UUID:
        distinct = f"{self.workflow_id}/{self.step_key}/{self.generation}/{key}"
        return uuid5(_NAMESPACE, distinct)

    def _present_only(self, row: RowMapping) -> Json:
        if row["erased_at"] is not None:
            raise Permanent(f"artifact {row['name']} was erased", code="artifact_erased")
        return self._described(row)

    def stored(self, name: str) -> Json | None:
        """What `write` has kept under the name for this generation of the step; None if it has kept
        nothing, or if that was erased."""
        row = _find(self._id(name), self.user_id)
        return None if row is None or row["erased_at"] is not None else self._described(row)

    def digest(self, artifact_id: UUID | str) -> str:
        """The SHA-256 of its content. Raises Permanent if it is erased or not this user's."""
        return str(self._present(artifact_id)["sha256"])

    def size(self, artifact_id: UUID | str) -> int:
        """The number of bytes of its content. Raises as `digest` does."""
        return int(self._present(artifact_id)["size"])

    def copy(self, artifact_id: UUID | str, *, vendor_sha256: str | None) -> Json:
        """Keep the content of another result of the user as a result of this step, as `write` does.

        Raises Permanent if the other is erased or damaged, Fenced if the step's claim is lost.
        """
        blob = self.read(artifact_id)
        # The step's own result, if it has to make one after all, is not taken for the copy.
        key = f"{blob.name} of {blob.id}"
        given = (self._id(key), blob.name, blob.data, blob.content_type, vendor_sha256)
        return self.kept(key) or self._present_only(self._write(*given, of=blob))

    def _present(self, artifact_id: UUID | str) -> RowMapping:
        row = _find(_uuid(artifact_id), self.user_id)
        if row is None or row["erased_at"] is not None:
            raise Permanent(f"there is no artifact {artifact_id}", code="artifact_missing")
        return row

    def keep_answer(self, text: str) -> UUID:
        """Keep a platform's answer that is too large for its record, and return the artifact's id.

        It is not among the artifacts of the step (`written`), so no compensation erases it. Raises
        Fenced if the step's claim is lost.
        """
        data = text.encode()
        name = f"answer-{hashlib.sha256(data).hexdigest()[:16]}.json"
        artifact_id = uuid5(_NAMESPACE, f"{self.workflow_id}/{self.step_key}/{name}")
        if _find(artifact_id, self.user_id) is None:
            self._write(artifact_id, name, data, "application/json", None, is_result=False)
        return artifact_id

    def link(self, artifact_id: UUID | str, *, seconds: int = LINK_SECONDS) -> str:
        """A URL at which a platform can fetch the content for `seconds`, without an API key."""
        return link(_uuid(artifact_id), seconds=seconds)

    def written(self, *, step_key: str | None = None) -> list[Json]:
        """The artifacts of this step, or of the step `step_key`, that are not erased, oldest first.

        Those of all its generations are included. A compensation sees the artifacts of the step
        that it undoes.
        """
        statement = (
            select(*COLUMNS)
            .where(
                ArtifactRow.workflow_id == self.workflow_id,
                ArtifactRow.step_key == (step_key or self.step_key),
                ArtifactRow.erased_at.is_(None),
            )
            .order_by(ArtifactRow.created_at, ArtifactRow.id)
        )
        with begin() as connection:
            return [self._described(row) for row in connection.execute(statement).mappings()]

    def erase(self, artifact_id: UUID | str) -> bool:
        """Remove the content for good; the row remains, with its hash.

        Returns False if the artifact is unknown or was already erased.
        """
        row = _find(_uuid(artifact_id), self.user_id)
        return row is not None and erase_file(row)

    def _write(
        self,
        artifact_id: UUID,
        name: str,
        data: bytes,
        content_type: str,
        vendor_sha256: str | None,
        *,
        is_result: bool = True,
        is_cleaned: bool = False,
        of: Blob | None = None,
    ) -> RowMapping:
        # What is copied was cleaned when it was stored.
        is_cleaned = is_cleaned and content_type.startswith("image/")
        picture = _clean_result(data) if is_cleaned else of
        data = picture.data if picture else data
        values = _values(artifact_id, self.user_id, name, data) | {
            **_home(WorkflowRow, self.workflow_id),
            "workflow_id": self.workflow_id,
            "step_key": self.step_key if is_result else None,
            "content_type": picture.content_type if picture else content_type,
            "width": picture.width if picture else None,
            "height": picture.height if picture else None,
            "vendor_sha256": vendor_sha256,
        }
        if self.fence is not None:
            # With the fence in it, the key is this claim's alone. Otherwise the deletions below
            # could remove a file of the same bytes that another worker has written for this step.
            values["storage_key"] = _storage_key(artifact_id, data + self.fence.bytes)
        storage().write(values["storage_key"], data)
        with begin() as connection:
            is_holder = self._is_holder(connection)
            if is_holder:
                connection.execute(upsert(ArtifactRow).values(values).on_conflict_do_nothing())
        if not is_holder:
            storage().delete(values["storage_key"])
            raise Fenced
        row = _find(artifact_id, self.user_id)
        if row is None:
            raise Permanent(f"artifact {name} belongs to another user", code="artifact_missing")
        if row["storage_key"] != values["storage_key"] or row["erased_at"] is not None:
            # Another attempt has written the artifact first, or the step was undone meanwhile.
            storage().delete(values["storage_key"])
        return row

    def _is_holder(self, connection: Connection) -> bool:
        if self.fence is None:
            return True
        held = (
            select(StepRow.key)
            .where(
                StepRow.workflow_id == self.workflow_id,
                StepRow.key == self.step_key,
                StepRow.fence == self.fence,
                StepRow.status == "running",
            )
            .with_for_update(key_share=True)
        )
        return connection.execute(held).first() is not None

    def _described(self, row: RowMapping) -> Json:
        shown = ("content_type", "size", "sha256", "width", "height", "vendor_sha256")
        return {"id": str(row["id"]), "url": link(row["id"]), **{each: row[each] for each in shown}}


def link(artifact_id: UUID, *, seconds: int = LINK_SECONDS) -> str:
    """A signed URL of an artifact's content, valid for `seconds` from now."""
    expires = int(clock.timestamp()) + seconds
    signature = signed_links.link_signature(artifact_id, expires)
    base = current().public_base_url
    return f"{base}/files/{artifact_id}?expires={expires}&signature={signature}"


def upload(user_id: UUID, data: bytes, *, name: str | None = None) -> RowMapping:
    """Keep a user's photograph, upright and without its metadata, and return its row.

    Raises InvalidInput or TooLarge if it is not an image that `images.clean` accepts, and
    Unavailable if the decoders are taken: then a few uploads wait, but not all threads.
    """
    waiting = max(2, current().web_threads // 4)
    turn = Turn(user_id, seconds=_UPLOAD_SECONDS, most_waiting=waiting)
    picture = provenance.clean(data, turn)
    label = _UNSAFE_IN_NAMES.sub("_", name or "").strip(" .")[-200:]
    values = _values(uuid7(), user_id, label or f"upload.{picture.extension}", picture.data) | {
        **_home(User, user_id),
        "content_type": picture.content_type,
        "width": picture.width,
        "height": picture.height,
    }
    storage().write(values["storage_key"], picture.data)
    statement = insert(ArtifactRow).values(values).returning(*COLUMNS)
    with begin() as connection:
        return connection.execute(statement).mappings().one()


def artifact(artifact_id: UUID, user_id: UUID | None) -> RowMapping:
    """The row of an artifact. Raises NotFound if it does not exist or belongs to another user.

    `user_id` is None for a caller with a signed link, who may see every user's artifact.
    """
    row = _find(artifact_id, user_id)
    if row is None:
        raise NotFound("there is no such artifact")
    return row


def _find(artifact_id: UUID, user_id: UUID | None) -> RowMapping | None:
    statement = select(*COLUMNS).where(ArtifactRow.id == artifact_id)
    if user_id is not None:
        statement = statement.where(ArtifactRow.user_id == user_id)
    with begin() as connection:
        return connection.execute(statement).mappings().one_or_none()


def erase_file(row: RowMapping) -> bool:
    """Remove an artifact's content for good; False if it was removed before. Its row remains."""
    # The file is removed before the row says so. If a crash comes between, erasing again helps.
    storage().delete(row["storage_key"])
    statement = (
        update(ArtifactRow)
        .where(ArtifactRow.id == row["id"], ArtifactRow.erased_at.is_(None))
        .values(erased_at=func.clock_timestamp())
        .returning(ArtifactRow.id)
    )
    with begin() as connection:
        return connection.execute(statement).one_or_none() is not None


def _values(artifact_id: UUID, user_id: UUID, name: str, data: bytes) -> dict[str, Any]:
    return {
        "id": artifact_id,
        "user_id": user_id,
        "name": name,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "storage_key": _storage_key(artifact_id, data),
    }


def _home(row: type[User] | type[WorkflowRow], id: UUID) -> dict[str, Any]:
    """The organisation and the project of a user or a workflow, as values of an INSERT."""
    return {
        name: select(getattr(row, name)).where(row.id == id).scalar_subquery()
        for name in ("organisation_id", "project_id")
    }


def _storage_key(artifact_id: UUID, distinct: bytes) -> str:
    """The storage key of a file. Two attempts pass different `distinct` bytes, so that neither
    overwrites or removes the other's file."""
    return f"{artifact_id.hex[-2:]}/{artifact_id}.{hashlib.sha256(distinct).hexdigest()[:16]}"


def _clean_result(data: bytes) -> Picture:
    try:
        return provenance.clean(data)
    except (InvalidInput, TooLarge) as err:
        raise Permanent(f"the platform's picture is refused: {err.message}", code=err.code) from err


def _uuid(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except ValueError as err:
        raise Permanent(f"{value!r} is not an artifact's id", code="artifact_missing") from err
