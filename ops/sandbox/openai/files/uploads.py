"""The files in multipart bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import FileStorage

from ops.sandbox.store import Json


@dataclass(frozen=True)
class Upload:
    """A file of a multipart body."""

    name: str
    content_type: str
    data: bytes

    @property
    def ending(self) -> str:
        """What follows the last dot of the name, in lower case."""
        return self.name.rpartition(".")[2].lower() if "." in self.name else ""


def uploads_of(given: Json, param: str) -> list[Upload]:
    """Return the files that a body has under a name, in their order."""
    found: Any = given.get(param)
    several = found if isinstance(found, list) else [] if found is None else [found]
    return [_upload(each) for each in several]


def upload_of(given: Json, param: str) -> Upload | None:
    """Return the file that a body has under a name, or None."""
    return next(iter(uploads_of(given, param)), None)


def _upload(sent: FileStorage) -> Upload:
    return Upload(sent.filename or "", sent.mimetype, sent.read())
