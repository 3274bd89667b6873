"""Publish a gallery as a deployment of static files.

Invariant: the `meta` of a deployment contains the step's reference. So the deployment is found even
if Vercel's answer was lost.
https://vercel.com/docs/rest-api/deployments/create-a-new-deployment
"""

import hashlib
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from app.engine.call import Call
from app.errors import NotServed, Permanent, Retryable, Suspend
from app.platform import (
    ActionInput,
    ActionOutput,
    CannotTell,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Made,
    Never,
    Undo,
    action,
)
from tasks.signatures import text_at
from tasks.vercel.client import COPY_MARKS, VercelApi, api
from tasks.vercel.gallery import Shown, page
from tasks.vercel.served import is_served, mark_of, require_served
from tasks.vercel.settings import VercelSettings

_CLOCKS_DIFFER = timedelta(minutes=5)
_LIST_LAG = timedelta(seconds=30)
_FAILED = ("ERROR", "CANCELED", "BLOCKED", "DELETED")
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


class Picture(BaseModel):
    """A picture in the output of `replicate.predict`; its other fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    id: str
    content_type: str = "image/png"
    width: int | None = None
    height: int | None = None


class DeployInput(ActionInput):
    """The content of the page; `target` is the environment at Vercel."""

    title: str = Field(min_length=1, max_length=200)
    caption: str = Field(default="", max_length=8000)
    pictures: list[Picture] = Field(min_length=1, max_length=200)
    target: str = Field(default="production", pattern="^(production|preview)$")


def _names(operation: str, response: Json) -> Made:
    """A deployment has an id."""
    return Made(effect_id=text_at(response, "id"))


@action(
    "vercel.deploy",
    input=DeployInput,
    effect=Effect.LOOKUP,
    attempt_seconds=120.0,
    slow=True,
    names=_names,
)
def deploy(call: Call, given: DeployInput) -> Json:
    """Publish the page: {deployment, url}, after a stranger is served the page at that url.

    Raises Permanent if the deployment fails.
    """
    vercel, settings = api(), VercelSettings.current()
    # After a wait the id of the deployment is known, so nothing is uploaded or created again.
    known, pause = call.external_id or _start(call, given, vercel), settings.poll_seconds
    try:
        seen = call.state_of(known, lambda: vercel.deployment(known), pause)
    except (NotServed, Retryable, Permanent):
        # What a stranger is served counts for more than that Vercel's API is away, or lags behind.
        address = _address(call.recorded("deployments.create") or {})
        if address is None or not is_served(call, address):
            raise
        return {"deployment": known, "url": address}
    if seen["status"] in _FAILED:
        raise Permanent(
            f"the deployment is {seen['status']}: {seen['error'] or 'no reason given'}",
            code="deployment_failed",
            detail={"deployment": known},
        )
    address = _address(seen)
    if seen["status"] != "READY" or address is None:
        raise Suspend(known, poll_seconds=pause)
    try:
        require_served(call, address)
    except (NotServed, Retryable) as err:
        if call.external_id is None:
            # As a poll the next attempt uploads nothing, and its tries are those of a wait.
            raise Suspend(known, poll_seconds=pause) from err
        raise
    return {"deployment": known, "url": address}


class Deployment(ActionOutput):
    """The id of the deployment at Vercel and the address of the page."""

    deployment: str
    url: str


deploy.describe(
    output=Deployment,
    example={
        "title": "The premiere",
        "caption": "A circus in the rain.",
        "pictures": [{"id": "01890a5d-ac96-774b-bcce-b302099a8059", "content_type": "image/png"}],
    },
)


@deploy.looked_up
def find_deployment(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the deployment by its `meta` in Vercel's list, which may lag behind."""
    found = _found(call, api(), intent)
    if found is not None:
        return Found(found)
    left = _LIST_LAG.total_seconds() - call.age_seconds(intent)
    if left > 0:
        return CannotTell(min(left, 10.0), "Vercel's list may not show a new deployment yet")
    return Never()


@deploy.compensation
def remove(call: Call, undo: Undo) -> Json:
    """Delete the deployment, even if it failed."""
    vercel = api()
    known = undo.external_id or (undo.response("deployments.create") or {}).get("id")
    for intent in undo.intents if not known else ():
        answer = find_deployment(call, intent) if intent.resolution is None else Never()
        if isinstance(answer, CannotTell):
            raise Retryable(
                f"it is not known yet whether a deployment was made: {answer.reason}",
                code="cannot_tell",
                after=answer.after_seconds,
            )
        if isinstance(answer, Found):
            known = answer.response["id"]
    if not known:
        return {"result": "nothing"}
    result = "removed" if vercel.delete_deployment(known) else "already"
    return {"result": result, "deployment": known}


def _address(seen: Json) -> str | None:
    """The address of a deployment's page."""
    url = seen.get("url")
    return VercelSettings.current().page_url.format(url=url) if url else None


def _start(call: Call, given: DeployInput, vercel: VercelApi) -> str:
    files = _upload_files(call, given, vercel)
    request: Json = {
        "name": VercelSettings.current().project,
        "files": files,
        "meta": {"reference": call.reference, "generation": str(call.generation)},
        "projectSettings": {"framework": None},
    }
    if given.target == "production":
        request["target"] = "production"
    made = call.once("deployments.create", request, lambda r, _key: vercel.create_deployment(r))
    return str(made["id"])


def _upload_files(call: Call, given: DeployInput, vercel: VercelApi) -> list[Json]:
    """Upload the page and its pictures, and return the deployment's list of files.

    No intent is recorded. Vercel keeps a file under its digest, so a second upload changes nothing.
    """
    shown, files = [], []
    for number, picture in enumerate(given.pictures, start=1):
        blob = call.artifacts.read(picture.id)
        path = f"pictures/{number:02d}.{_EXTENSIONS.get(blob.content_type, 'bin')}"
        vercel.upload(blob.data)
        files.append(_file(path, blob.data))
        shown.append(Shown(path, blob.width, blob.height))
    html = page(given.title, given.caption, shown, mark_of(call)).encode()
    vercel.upload(html)
    return [_file("index.html", html), *files]


def _file(path: str, data: bytes) -> Json:
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return {"file": path, "sha": sha1, "size": len(data)}


def _found(call: Call, vercel: VercelApi, intent: Intent) -> Json | None:
    since = intent.first_sent_at - _CLOCKS_DIFFER
    for each in vercel.deployments_with(call.reference, since):
        meta = each["meta"]
        if any(meta.get(mark) for mark in COPY_MARKS):
            continue
        if meta.get("generation") == intent.request["meta"]["generation"]:
            return {name: each[name] for name in ("id", "url", "status")}
    return None
