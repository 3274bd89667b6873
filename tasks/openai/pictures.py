"""Pictures that a model is shown: artifacts of the user, and pictures of the web."""

import base64
from typing import Annotated, Protocol, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from app.errors import Permanent
from app.files.artifacts import Artifacts
from app.platform import ActionInput

_MOST_BYTES = 20 * 1024 * 1024

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
    blob = call.artifacts.read(artifact)
    if not blob.content_type.startswith("image/") or len(blob.data) > _MOST_BYTES:
        raise Permanent(f"artifact {artifact} is no picture of at most 20 MiB", code="no_picture")
    return f"data:{blob.content_type};base64,{base64.b64encode(blob.data).decode()}"
