"""The archive: its state, runs and dry runs, holds, restored workflows, and bundles to download."""

from typing import Any

from flask import Response, jsonify

from app.archive import holding, reading, restoring
from app.platform import Json
from app.queries import archived_workflow
from app.queries.archive import archive_state
from chains.commands.command import caller_of
from chains.retention import job
from chains.retention.policy import Kept, policy
from web.api import blueprint, problems
from web.archive.schemas import (
    ArchivePath,
    ArchiveRun,
    ArchiveState,
    HeldFamily,
    HoldPage,
    HoldsQuery,
    HoldWorkflow,
    Restored,
    RunArchive,
)
from web.auth import caller, require_operator

api = blueprint("archive", "Archive")

_GZIP = {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}


@api.get(
    "/archive",
    summary="What was archived, and how long workflows are kept",
    responses={200: ArchiveState, **problems(403)},
)
def get_archive() -> Response:
    """Needs an admin key."""
    require_operator()
    kept = policy()
    types = {name: _keeping(each) for name, each in sorted(kept.types.items())}
    return jsonify(archive_state() | {"default": _keeping(kept.default), "types": types})


@api.post(
    "/archive/run",
    summary="Archive what is old enough now, or count it",
    responses={200: ArchiveRun, **problems(403)},
)
def run_archive(body: RunArchive) -> Json:
    """A job does the same every ten minutes. `dry_run` is the default: it counts what a run would
    archive and changes nothing. Send the request again until `is_complete`. Needs an admin key."""
    require_operator()
    if body.dry_run:
        found = job.foresee(body.type, body.hot, seconds=body.seconds)
        return {"dry_run": True, "is_busy": False, **found}
    done = job.run(seconds=body.seconds, share=body.share)
    families = done.pop("archived", 0)
    empty = {"is_complete": False, "workflows": 0, "refused": {}}
    return {"dry_run": False, "types": {}, "families": families, **empty, **done}


@api.get(
    "/archive/holds",
    summary="List the workflows that are held",
    responses={200: HoldPage, **problems(403)},
)
def list_holds(query: HoldsQuery) -> Response:
    """Needs an admin key."""
    require_operator()
    found = holding.holds(query.after, query.limit + 1)
    items = found[: query.limit]
    following = items[-1]["id"] if len(found) > query.limit else None
    return jsonify({"items": items, "next_after": following})


@api.post(
    "/archive/<uuid:workflow_id>/hold",
    summary="Keep a workflow from being archived and erased",
    responses={200: HeldFamily, **problems(403, 404, 409)},
)
def hold_workflow(path: ArchivePath, body: HoldWorkflow) -> dict[str, Any]:
    """Its root and all children of that are held until this is undone. Needs an admin key."""
    require_operator()
    by = caller_of(caller()).on_record
    return {"root_id": holding.hold(path.workflow_id, by, body.reason)}


@api.post(
    "/archive/<uuid:workflow_id>/release",
    summary="Release the hold of a workflow",
    responses={200: HeldFamily, **problems(403, 404)},
)
def release_workflow(path: ArchivePath) -> dict[str, Any]:
    """Needs an admin key."""
    require_operator()
    return {"root_id": holding.release(path.workflow_id, caller_of(caller()).on_record)}


@api.post(
    "/archive/<uuid:workflow_id>/restore",
    summary="Bring an archived workflow back",
    responses={200: Restored, **problems(403, 404, 409)},
)
def restore_workflow(path: ArchivePath) -> dict[str, Any]:
    """Its root and all children of that are rows again, for as long as if they had just ended. The
    bundle is verified first. Needs an admin key."""
    require_operator()
    done = restoring.restore(path.workflow_id, caller_of(caller()).on_record)
    return {"root_id": done.root, "workflows": done.workflows, "changed": done.is_new}


@api.get(
    "/archive/<uuid:workflow_id>/bundle",
    summary="Download the bundle of your archived workflow",
    responses={200: {"content": _GZIP}, **problems(404)},
)
def get_bundle(path: ArchivePath) -> Response:
    """Lines of JSON, compressed by gzip: a head, then the rows of the root and its children."""
    found = archived_workflow(path.workflow_id, caller(), is_operator=False)
    found.refuse_erased()
    response = Response(reading.download(found.place), mimetype="application/gzip")
    response.headers.set("Content-Disposition", "attachment", filename=f"{found.id}.jsonl.gz")
    response.headers["X-Content-SHA256"] = found.place.sha256
    return response


def _keeping(kept: Kept) -> Json:
    return {"hot_seconds": kept.hot, "archive_seconds": kept.archive}
