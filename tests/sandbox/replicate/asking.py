"""What the tests of the imitated Replicate ask for again and again."""

from __future__ import annotations

import base64
import io
from typing import Any

import PIL.Image

from ops.sandbox.replicate.gallery import HELLO_WORLD, STYLE
from tests.sandbox.replicate.conftest import Plain
from tests.sandbox.running import Sandbox, until

HELLO = HELLO_WORLD.version
HELLO_BODY = {"version": HELLO, "input": {"text": "Ada"}}
OWNER = "playalter-sandbox"
ENDED = ("succeeded", "failed", "canceled", "aborted")


def picture() -> str:
    """A small picture as a data URI."""
    made = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), (200, 10, 10)).save(made, "PNG")
    return f"data:image/png;base64,{base64.b64encode(made.getvalue()).decode()}"


def advance(sandbox: Sandbox, seconds: float) -> None:
    """Let so much of the sandbox's time pass."""
    sandbox.control("POST", "/stripe/advance", {"seconds": seconds})


def settled(plain: Plain, made: Any, *statuses: str) -> Any:
    """Return a prediction or training once it has ended, or has one of the statuses."""

    def look() -> Any:
        seen = plain.get(made["urls"]["get"])
        return seen if seen["status"] in (statuses or ENDED) else None

    return until(look)


def new_model(plain: Plain, name: str, visibility: str = "private") -> Any:
    """Create a model of the account."""
    body = {"owner": OWNER, "name": name, "visibility": visibility, "hardware": "cpu"}
    return plain.post("/models", body)


def train(plain: Plain, destination: str, **more: Any) -> Any:
    """Start a training of the gallery's model that can be trained."""
    body = {"destination": destination, "input": {"input_images": "https://a.example/a.zip"}}
    path = f"/models/{STYLE.full_name}/versions/{STYLE.version}/trainings"
    return plain.post(path, body | more)
