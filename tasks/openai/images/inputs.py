"""What a step wants drawn: the input of `openai.image`.

https://platform.openai.com/docs/guides/image-generation
"""

import re
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from app.platform import Json
from tasks.openai.settings import OpenAISettings
from tasks.reuse import Reusable

_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")
_STEP, _SLIMMEST = 16, 3
_LARGEST = 3840 * 2160
_AUTO = (2560, 1440)
"""What `auto` may be at most: OpenAI calls larger sizes experimental."""
_MOST_PIXELS = 17_000_000
"""Of all pictures of a call. Its answer has them all, and a worker holds it in memory."""
_MOST_IMAGES = 16

ArtifactId = Annotated[str, Field(min_length=1, max_length=64)]
Quality = Literal["low", "medium", "high", "xhigh", "max", "auto"]


class ImageInput(Reusable):
    """What is drawn: `n` pictures of the `prompt`, or edits of `images` of yours.

    Edited is the first of the images, and only where the `mask` is transparent, if there is one: a
    PNG of the same size. `size` is WIDTHxHEIGHT in steps of 16, or `auto`; some models have only
    1024x1024, 1536x1024 and 1024x1536. `xhigh` and `max` are qualities of newer models. `auto`
    lets the model choose, and a budget then reserves the dearest. A picture is kept as PNG or JPEG,
    with the mark that a model has made it.
    """

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"mask": ["images"]}})
    prompt: str = Field(min_length=1, max_length=32_000)
    images: list[ArtifactId] = Field(default=[], max_length=_MOST_IMAGES)
    mask: ArtifactId | None = None
    model: str | None = Field(default=None, pattern=r"^[\w.:-]+$", max_length=100)
    n: int = Field(default=1, ge=1, le=10)
    size: str = Field(default="1024x1024", max_length=9)
    quality: Quality = "medium"
    background: Literal["transparent", "opaque", "auto"] = "auto"
    output_format: Literal["png", "jpeg"] = "png"
    moderation: Literal["auto", "low"] = "auto"

    @field_validator("size")
    @classmethod
    def _is_size(cls, size: str) -> str:
        if size == "auto":
            return size
        if _SIZE.fullmatch(size) is None:
            raise ValueError("must be WIDTHxHEIGHT, such as 1024x1024, or `auto`")
        width, height = sides(size)
        if width % _STEP or height % _STEP:
            raise ValueError(f"width and height must be multiples of {_STEP}")
        if max(width, height) > _SLIMMEST * min(width, height):
            raise ValueError(f"one side may be at most {_SLIMMEST} times the other")
        if width * height > _LARGEST:
            raise ValueError("may have at most as many pixels as 3840x2160")
        return size

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if self.mask is not None and not self.images:
            raise ValueError("a `mask` says what of the first of the `images` is edited")
        if self.images and self.moderation != "auto":
            raise ValueError("`moderation` is a setting of new pictures, not of edits")
        if self.background == "transparent" and self.output_format == "jpeg":
            raise ValueError("a JPEG has no transparent background: choose `png`")
        width, height = sides(self.size)
        if self.n * width * height > _MOST_PIXELS:
            raise ValueError(
                f"{self.n} pictures of this size have more than {_MOST_PIXELS // 10**6} megapixels"
                f" together (`auto` counts as {_AUTO[0]}x{_AUTO[1]}): ask for fewer in one step"
            )
        return self


def sides(size: str) -> tuple[int, int]:
    """The width and the height of a size, in pixels; the largest for `auto`."""
    found = _SIZE.fullmatch(size)
    return _AUTO if found is None else (int(found[1]), int(found[2]))


def model_of(given: ImageInput) -> str:
    """The model that draws."""
    return given.model or OpenAISettings.current().image_model


def request_of(given: ImageInput) -> Json:
    """The request as it is recorded. It is the body that is sent, but for pictures of ours: those
    stand in it by their ids."""
    names = {"prompt", "n", "size", "quality", "background", "output_format", "moderation"}
    request: Json = {"model": model_of(given), **given.model_dump(include=names)}
    if given.images:
        del request["moderation"]
        request["images"] = list(given.images)
    return request if given.mask is None else request | {"mask": given.mask}
