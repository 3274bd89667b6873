"""Photographs for steps, and waiting for the end of a step."""

import contextlib
import functools
import io
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from app.errors import Suspend
from app.files import artifacts
from app.platform import Json
from app.settings import current
from tests.contract.stage import Step

PHOTOS = Path(__file__).parents[2] / "ops" / "sandbox" / "photos"


def upload(step: Step, data: bytes) -> str:
    """Store a photograph for the step's user, and return its id."""
    return str(artifacts.upload(step.claim.user_id, data)["id"])


@functools.cache
def small(name: str) -> bytes:
    """One of the photographs, half as large."""
    made = io.BytesIO()
    with Image.open(PHOTOS / name) as image:
        image.convert("RGB").resize((image.width // 2, image.height // 2)).save(made, "PNG")
    return made.getvalue()


@contextlib.contextmanager
def out_of_reach(artifact: str) -> Iterator[None]:
    """Let the store not read an artifact: its file can neither be opened nor is missing."""
    (file,) = current().storage_dir.rglob(f"{artifact}.*")
    kept = file.rename(file.with_suffix(".kept"))
    file.mkdir()
    try:
        yield
    finally:
        file.rmdir()
        kept.rename(file)


def wait(step: Step, external_id: str, seconds: float = 20.0) -> Json:
    """Poll like the engine until the step ends."""
    until = time.monotonic() + seconds
    while True:
        try:
            return step.run(external_id)
        except Suspend:
            assert time.monotonic() < until, "the platform does not come to an end"
            time.sleep(0.1)
