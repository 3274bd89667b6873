"""The calls for pictures, and what their answers hold.

An answer has the pictures themselves, as base64 in JSON. So it may be as large as no other.
https://platform.openai.com/docs/api-reference/images
"""

import base64
import mimetypes
from typing import Any

from app.engine.call import Call
from app.errors import Permanent
from app.platform import Json
from tasks.openai import limits
from tasks.openai.client import api, optional
from tasks.openai.images.costs import drawn, tokens

CREATE, EDIT = "images.generate", "images.edit"
READ_SECONDS = 300.0
"""OpenAI says that a picture may take two minutes; the largest at the best quality take longer."""
TOO_LARGE = "answer_too_large"
_MOST_BYTES = 96 * 1024 * 1024
_MOST_IMAGE, _MOST_MASK, _MOST_IMAGES = 20 * 1024 * 1024, 4 * 1024 * 1024, 48 * 1024 * 1024
_KINDS = ("image/png", "image/jpeg", "image/webp")
_BLOCKED = ("moderation_blocked", "content_policy_violation")
"""The codes of a request, or of a picture, that OpenAI's safety system does not let pass."""


File = tuple[str, bytes, str]
"""A name, the content and its type, as the SDK takes a file."""


def files_of(call: Call, request: Json) -> tuple[list[File], File | None]:
    """The pictures of ours that are edited, and the mask, if the request has them.

    Raises Permanent `no_picture` if one cannot be sent, and Unavailable if it cannot be read now.
    """
    wanted = request.get("images", ())
    if sum(map(call.artifacts.size, wanted)) > _MOST_IMAGES:
        raise Permanent("the pictures have more than 48 MiB together", code="no_picture")
    images = [_image(call, each, _MOST_IMAGE) for each in wanted]
    return images, _mask(call, request["mask"]) if "mask" in request else None


def create(request: Json, images: list[File], mask: File | None, key: str) -> Json:
    """Let a model draw: {pictures, tokens, size, quality}; each picture is bytes, and `tokens` are
    null if OpenAI does not tell them.

    Raises Permanent `refused` if the prompt, a picture to edit or the result is not allowed, and
    Unknown if the answer is lost.
    """
    body = {name: each for name, each in request.items() if name not in ("images", "mask")}
    body["extra_headers"] = {"Idempotency-Key": key}
    if images:
        body |= {"image": images} | ({} if mask is None else {"mask": mask})

    def ask(sdk: Any) -> Any:
        made = sdk.images.with_raw_response
        return made.edit(**body) if images else made.generate(**body)

    try:
        return api().perform(
            EDIT if images else CREATE,
            ask,
            _made,
            limits.demand(request["model"], request["prompt"], drawn(request)),
            is_billed=True,
            read_seconds=READ_SECONDS,
            max_bytes=_MOST_BYTES,
        )
    except Permanent as err:
        if err.code in _BLOCKED:
            raise Permanent(err.message, code="refused", detail=err.detail) from err
        raise


def _made(seen: Json) -> Json:
    return {
        "pictures": [_decoded(each["b64_json"]) for each in seen["data"]],
        "tokens": tokens(seen),
        "size": optional(seen.get("size")),
        "quality": optional(seen.get("quality")),
    }


def _decoded(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if not data:
        raise ValueError("an empty picture")
    return data


def _image(call: Call, artifact: str, most: int) -> File:
    blob = None if call.artifacts.size(artifact) > most else call.artifacts.read(artifact)
    if blob is None or blob.content_type not in _KINDS:
        raise Permanent(
            f"artifact {artifact} is no PNG, JPEG or WebP of at most {most // 2**20} MiB",
            code="no_picture",
        )
    # The user's own file name is not sent, because it may be personal.
    ending = mimetypes.guess_extension(blob.content_type) or ""
    return f"picture{ending}", blob.data, blob.content_type


def _mask(call: Call, artifact: str) -> File:
    found = _image(call, artifact, _MOST_MASK)
    if found[2] != "image/png":
        raise Permanent(f"artifact {artifact} is no PNG, as a mask must be", code="no_picture")
    return found
