"""The lines of a batch's file as they are sent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from app.errors import Permanent
from app.files.artifacts import Artifacts
from app.payload import text_of
from app.platform import Json
from app.platform.batches import Line
from tasks.openai.pictures import Reader
from tasks.openai.responses.requests import pictures_of, sent

ENDPOINT = "/v1/responses"
# Not that of app.telemetry: platforms import this module before the metrics know their folder.
log = structlog.get_logger()


@dataclass(frozen=True)
class _Later:
    """Reads the pictures of a step after its attempt."""

    artifacts: Artifacts


def file_line(line: str, reader: Reader, request: Json) -> bytes:
    """The bytes of a line, with its end. Raises Permanent if a picture of ours cannot be sent."""
    body = sent(request, pictures_of(reader, request))
    whole = {"custom_id": line, "method": "POST", "url": ENDPOINT, "body": body}
    return f"{text_of(whole)}\n".encode()


def file_lines(lines: Iterable[Line]) -> Iterator[bytes]:
    """The lines of a file. One whose picture was erased since has no input, so that OpenAI refuses
    it alone, and each other line keeps its place."""
    for each in lines:
        reader = _Later(Artifacts(each.workflow_id, each.step_key, each.user_id))
        try:
            yield file_line(str(each.id), reader, each.request)
        except Permanent as err:
            log.warning("batches.line_without_picture", line=str(each.id), why=err.message)
            request = {name: value for name, value in each.request.items() if name != "input"}
            yield file_line(str(each.id), reader, request | {"input": []})
