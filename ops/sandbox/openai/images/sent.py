"""The pictures of a call that edits: the pictures themselves, a mask or a markup."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image

from ops.sandbox.openai import wire
from ops.sandbox.openai.files.uploads import Upload, upload_of, uploads_of
from ops.sandbox.openai.images.asked import STANDARD
from ops.sandbox.openai.images.drawing import Picture
from ops.sandbox.store import Json
from ops.sandbox.wire import Refusal

MOST, MOST_BYTES, MOST_MASK_BYTES = 16, 50 * 2**20, 4 * 2**20
_MOST_PIXELS = 50_000_000
_KINDS = ("PNG", "WEBP", "JPEG")


@dataclass(frozen=True)
class Sent:
    """The pictures to edit, in their order; where the mask is transparent, the first is edited."""

    pictures: Sequence[Picture] = ()
    mask: Picture | None = None

    @property
    def natural(self) -> str:
        """The standard size with the shape of the first picture."""
        width, height = self.pictures[0].size
        square, broad, high = STANDARD
        return broad if width > 1.2 * height else high if height > 1.2 * width else square


def sent_pictures(model: str, given: Json) -> Sent:
    """Return the pictures of a body, or raise OpenAI's error."""
    uploads = uploads_of(given, "image")
    if not uploads:
        wire.empty_list("image")
    wire.long_list("image", uploads, MOST)
    _check_fidelity(model, given)
    pictures = [_picture(each, "image", MOST_BYTES, _KINDS) for each in uploads]
    mask, markup = upload_of(given, "mask"), upload_of(given, "markup")
    if mask and markup:
        raise wire.error(400, "'markup' cannot be combined with 'mask'.", "markup", "invalid_value")
    if markup:
        if "2.5" not in model:
            raise wire.unsupported("markup")
        drawing = _overlay(markup, "markup", MOST_BYTES, pictures[0])
        first = pictures[0].convert("RGBA")
        pictures[0] = PIL.Image.alpha_composite(first, drawing.convert("RGBA"))
    cut = _overlay(mask, "mask", MOST_MASK_BYTES, pictures[0]) if mask else None
    return Sent(pictures, cut)


def _check_fidelity(model: str, given: Json) -> None:
    asked = given.get("input_fidelity")
    known = {"gpt-image-1.5": ("high", "low"), "gpt-image-1-mini": ("low",)}
    if asked is None:
        return
    if model not in known:
        raise wire.unsupported("input_fidelity")
    if asked not in known[model]:
        raise wire.invalid_value("input_fidelity", asked, known[model])


def _overlay(upload: Upload, param: str, most: int, first: Picture) -> Picture:
    found = _picture(upload, param, most, ("PNG",))
    if not found.has_transparency_data:
        words = f"Invalid {param} image format - {param} image missing alpha channel"
        raise wire.error(400, words, param, f"invalid_{param}_image_format")
    if found.size != first.size:
        words = f"Invalid {param} image size - {param} size does not match image size"
        raise wire.error(400, words, param, "invalid_image_format")
    return found


def _picture(upload: Upload, param: str, most: int, kinds: tuple[str, ...]) -> Picture:
    if len(upload.data) > most:
        words = f"Invalid {param}: the file must be less than {most // 2**20}MB."
        raise wire.error(400, words, param, "image_too_large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            found = PIL.Image.open(io.BytesIO(upload.data), formats=kinds)
            if found.width * found.height > _MOST_PIXELS:
                raise _unreadable(param)
            found.load()
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as err:
        raise _unreadable(param) from err
    return found


def _unreadable(param: str) -> Refusal:
    words = "Invalid image file or mode for image 1, please check your image file."
    return wire.error(400, words, param, "invalid_image_file", "image_generation_user_error")
