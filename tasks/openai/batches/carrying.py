"""OpenAI's batches, as their carrier uses them (chains/batches)."""

from collections.abc import Iterable

from app.platform.batches import Batches, Bounds, Line
from app.settings import needed
from tasks.openai.batches import calls, results
from tasks.openai.batches.sending import file_lines
from tasks.openai.client import SETTING
from tasks.openai.settings import OpenAISettings


def bounds() -> Bounds:
    """When lines are gathered. Raises NotConfigured without a credential."""
    settings = OpenAISettings.current()
    needed(settings.api_key, SETTING)
    return Bounds(
        lines=settings.batch_lines,
        bytes=settings.batch_bytes,
        wait_seconds=settings.batch_wait_seconds,
        poll_seconds=settings.batch_poll_seconds,
        tries=settings.batch_tries,
    )


def _upload(reference: str, lines: Iterable[Line]) -> str:
    return calls.upload(reference, file_lines(lines))


BATCHES = Batches(
    bounds=bounds,
    upload=_upload,
    find_upload=calls.find_upload,
    create=calls.create,
    find=calls.find,
    look=results.look,
    results=results.results,
    cancel=calls.cancel,
    delete=calls.delete,
)
