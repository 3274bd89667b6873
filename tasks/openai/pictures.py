"""Pictures that a model is shown: artifacts of the user, and pictures of the web."""

import base64
import math
import re
from collections.abc import Iterable
from typing import Annotated, Protocol, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from app.errors import Permanent
from app.files.artifacts import Artifacts
from app.platform import ActionInput

_MIB = 1024 * 1024
_MOST_BYTES = 20 * _MIB
MOST_BYTES_TOGETHER = 40 * _MIB
"""A request has them in base64, and a worker holds it several times in its memory."""

Url = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^https?://[^\s]+$")]


class Picture(ActionInput):
    """A picture: an `artifact` of yours, or one that OpenAI fetches at a `url`."""

    artifact: str | None = Field(default=None, min_length=1, max_length=64)
    url: Url | None = None

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is not None and not urlsplit(url).hostname:
            raise ValueError("must be an address of the web")
        return url

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.artifact is None) == (self.url is None):
            raise ValueError("a picture is either an `artifact` or a `url`")
        return self


class Reader(Protocol):
    """Who may read the pictures of a step: its attempt, or who sends its request later."""

    @property
    def artifacts(self) -> Artifacts:
        """The files that the step may read."""


def data_url(call: Reader, artifact: str) -> str:
    """A picture of ours with its content, as requests have it. Raises Permanent if the user has no
    such artifact, or if it is no picture that can be sent."""
    if call.artifacts.size(artifact) > _MOST_BYTES:
        raise _no_picture(artifact)
    blob = call.artifacts.read(artifact)
    if not blob.content_type.startswith("image/"):
        raise _no_picture(artifact)
    return f"data:{blob.content_type};base64,{base64.b64encode(blob.data).decode()}"


def data_urls(call: Reader, artifacts: Iterable[str]) -> dict[str, str]:
    """Pictures of ours with their content, by their ids; one that is named twice is read once.

    Raises Permanent as `data_url` does, and if they are too large together.
    """
    wanted = list(dict.fromkeys(artifacts))
    if sum(map(call.artifacts.size, wanted)) > MOST_BYTES_TOGETHER:
        most = MOST_BYTES_TOGETHER // _MIB
        raise Permanent(
            f"the pictures have more than {most} MiB together: make them smaller, or show fewer",
            code="pictures_too_large",
        )
    return {each: data_url(call, each) for each in wanted}


def _no_picture(artifact: str) -> Permanent:
    most = _MOST_BYTES // _MIB
    return Permanent(f"artifact {artifact} is no picture of at most {most} MiB", code="no_picture")


def most_tokens(model: str, detail: str) -> int:
    """At least the tokens that a model reads for a picture of any size, at a detail.

    Most models read patches of 32 x 32 pixels, and count each patch as a number of tokens of their
    own. The picture is made smaller before: at `low` to 512 x 512 pixels, at `high` to at most
    2,500 patches, or for some models only to 2048 x 2048 pixels. At `original`, more than 30,000
    patches are refused. What a model makes of another detail is not known, and counts as that.
    https://developers.openai.com/api/docs/guides/images-vision#calculating-costs

    >>> most_tokens("gpt-6-sol", "high")
    3050
    """
    if model.startswith(_IN_DEAR_TILES):
        tiles = 0 if detail == "low" else _MOST_TILES
        return _OF_DEAR_PICTURE + tiles * _OF_DEAR_TILE
    patches = {"low": _LOW_PATCHES, "high": _HIGH_PATCHES}.get(detail, _ORIGINAL_PATCHES)
    if detail == "high" and _IS_BOUNDED.match(model):
        patches = _BOUNDED_PATCHES
    factor = next((each for name, each in _FACTORS if name.search(model)), _DEAREST_FACTOR)
    return math.ceil(patches * factor) + _AROUND_PICTURE


_LOW_PATCHES = (512 // 32) ** 2
_HIGH_PATCHES = (2048 // 32) ** 2
_ORIGINAL_PATCHES = 30_000
_BOUNDED_PATCHES = 2_500
_IS_BOUNDED = re.compile(r"gpt-(5\.[456]|6)(?!.*(mini|nano))")
"""The models that read at most 2,500 patches at `high`."""
_AROUND_PICTURE = 50
"""For what a model adds to a picture, and for sizes that are rounded."""
_FACTORS = (
    (re.compile(r"nano|luna"), 2.46),
    (re.compile(r"mini"), 1.72),
    (re.compile(r"^gpt-(4|5|6)"), 1.2),
)
"""The tokens of a patch. Only third parties tell that of `luna`, as 1.2. Models that read tiles
(gpt-4o, gpt-4.1, gpt-5) need fewer tokens than these: at most 1,445."""
_DEAREST_FACTOR = 2.46
_IN_DEAR_TILES = "gpt-4o-mini"
"""The model that reads tiles of 512 x 512 pixels, after the picture was made smaller to 2048 x 768,
and counts them so high that a picture costs what it costs at gpt-4o."""
_OF_DEAR_PICTURE, _OF_DEAR_TILE, _MOST_TILES = 2_833, 5_667, 8
