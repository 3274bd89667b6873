"""Copies the files of an output to artifacts of the step, one after the other.

Invariant: a file that is stored is not fetched again. So an attempt that has no time left for more
files ends, and the next one goes on with the first that is missing. At most one file is in memory.

A picture gets the mark of its provenance, so that programs can tell that a model has made it. One
that cannot be marked (of another format, of more than 40 megapixels, damaged) was paid for all the
same: it is kept as it came, and `is_marked` says so, for whoever publishes it must then say it.
"""

import hashlib
import mimetypes
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.files import provenance
from app.outbound.http import seconds_left
from app.payload import text_of as json_of
from app.platform import Json
from tasks.replicate.client import ReplicateApi
from tasks.replicate.outputs import kinds
from tasks.replicate.outputs.reading import (
    decoded,
    first_file,
    is_data,
    mapped,
    text_of,
    unreadable,
)

MOST_FILES = 500
"""Of an output with more, the addresses of the others stay in it."""
MOST_INLINE = 1024 * 1024
"""The bytes of JSON of an output that is not kept as a file."""
_LEFT_PART = 0.4
"""An attempt that has used up the rest of its time begins no further file."""
_TEXT, _JSON = "text/plain", "application/json"
_SHORT = 2000


@dataclass
class _Adopting:
    """The files of one prediction that were stored, in their order."""

    call: Call
    replicate: ReplicateApi
    seen: Json
    files: list[Json] = field(default_factory=list)
    left: list[Json] = field(default_factory=list)
    number: int = 0
    new: int = 0
    ends: float = field(init=False)

    def __post_init__(self) -> None:
        self.ends = seconds_left() * _LEFT_PART

    def put(self, text: str) -> object:
        """What stands in the output for one of its texts: an artifact for a file.

        A file is an address at Replicate, or a data URI. Any other text stays as it is, also if it
        looks like an address: a model of language may have written it.
        """
        is_inline = is_data(text)
        if not is_inline and not self.replicate.serves(text):
            return text
        self.number += 1
        if self.number > MOST_FILES and not is_inline:
            return self._leave(text, f"the output has more than {MOST_FILES} files")
        known = self.known(f"output-{self.number - 1}")
        if known is None:
            if is_inline and decoded(text) is None and len(text) < _SHORT:
                return text
            self._require_time()
            try:
                known = self.store(f"output-{self.number - 1}", text)
            except Permanent as err:
                # The other files are not given up because of this one.
                if err.code != "answer_too_large":
                    raise
                return self._leave(text, err.message)
        self.files.append(known)
        return known

    def keep(self, name: str, data: bytes, kind: str) -> Json:
        """Store a content under a name of the prediction's own, unless it is stored."""
        return self.known(name) or self._shown(
            self.call.artifacts.write(
                name + kinds.extension_of(kind), data, kind, key=self._key(name), is_raw=True,
                vendor_sha256=hashlib.sha256(data).hexdigest(),
            )
        )  # fmt: skip

    def store(self, name: str, text: str) -> Json:
        """Fetch a file and store it, a picture with its mark."""
        data, said = self._content(text)
        self.new += 1
        kind = kinds.kind_of(data, *said)
        digest = hashlib.sha256(data).hexdigest()
        if kind.startswith("image/"):
            try:
                marked = provenance.mark(data)
            except Permanent:
                return self.keep(name, data, kind)
            data, kind = marked.data, marked.content_type
            made = self.call.artifacts.write(
                name + kinds.extension_of(kind), data, kind,
                key=self._key(name), vendor_sha256=digest,
            )  # fmt: skip
            return self._shown(made)
        return self.keep(name, data, kind)

    def _content(self, text: str) -> tuple[bytes, tuple[str, ...]]:
        """The content of a file, and what is said of its type, the most reliable first."""
        if is_data(text):
            found = decoded(text)
            if found is None:
                # It is kept as it came.
                return text.encode("utf-8", "replace"), ()
            return found[0], (found[1],)
        delivered = self.replicate.download(text)
        path = PurePosixPath(urlsplit(text).path).name
        return delivered.data, (delivered.content_type, mimetypes.guess_type(path)[0] or "")

    def _require_time(self) -> None:
        if self.new and seconds_left() < self.ends:
            raise Retryable(
                f"{len(self.files)} files of the output are stored; the others follow",
                code="output_in_parts",
                after=0.1,
                is_try=False,
            )

    def _leave(self, address: str, why: str) -> str:
        self.left.append({"url": address, "reason": why})
        return address

    def _key(self, name: str) -> str:
        return f"{self.seen['id']}/{name}"

    def known(self, name: str) -> Json | None:
        """What is stored under a name; None if nothing is."""
        found = self.call.artifacts.kept(self._key(name))
        return None if found is None else self._shown(found)

    def _shown(self, kept: Json) -> Json:
        is_picture = kept["content_type"].startswith("image/")
        made_by = {each: self.seen[each] for each in ("model", "version")}
        return kept | {
            # The size of what cannot be decoded is not known.
            "is_marked": kept["width"] is not None if is_picture else None,
            "made_by": {**made_by, "prediction": self.seen["id"]},
        }


def adopt(call: Call, replicate: ReplicateApi, seen: Json, *, is_text: bool) -> Json:
    """Copy the files of an output to artifacts: {output, files, text, output_file, left}.

    In `output` the artifacts stand in the places of the files. An output that is too large for a
    record is the artifact `output_file`, and `output` and `text` are null. `left` are the addresses
    of files that are too large, or too many, to be copied, each with its reason.

    Raises Retryable, which counts no try, if the attempt has no time left for the next file.
    """
    adopting = _Adopting(call, replicate, seen)
    output = mapped(seen["output"], adopting.put)
    text = text_of(output, is_text=is_text)
    shown: Json = {"output": output, "files": adopting.files, "text": text, "output_file": None}
    if len(whole := json_of(output).encode()) > MOST_INLINE:
        data, kind = (whole, _JSON) if text is None else (text.encode("utf-8", "replace"), _TEXT)
        shown |= {"output": None, "text": None, "output_file": adopting.keep("output", data, kind)}
    return shown | {"left": adopting.left}


def adopt_picture(call: Call, replicate: ReplicateApi, seen: Json) -> Json:
    """Copy the picture of a face swap to an artifact.

    Raises Permanent if the output has no file, or one that is no picture.
    """
    url = first_file(seen)
    if is_data(url) and decoded(url) is None:
        raise unreadable(seen)
    adopting = _Adopting(call, replicate, seen)
    kept = adopting.known("picture") or adopting.store("picture", url)
    if kept["is_marked"] is None:
        raise Permanent(
            f"the delivered file is no picture (it is {kept['content_type']})",
            code="not_an_image",
            detail={"prediction": seen["id"], "file": kept["id"]},
        )
    return kept
