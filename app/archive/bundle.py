"""The form of a bundle: lines of JSON, compressed. The first line says what follows.

A bundle is a part of a file, a volume, because a file for each would cost more than all the rest.
Each part is a whole gzip file, and so is the volume.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID, uuid5

from app.archive.tables import MOVED, Row
from app.chain import Chain

FORMAT = 1
_LEVEL = 6


class BundleDamaged(Exception):
    """A bundle is not what was recorded. The message says what is wrong."""


class BundleTooLarge(Exception):
    """The text of a bundle is larger than its reader takes."""


@dataclass(frozen=True)
class Head:
    """The newest event of a workflow in a bundle."""

    seq: int
    hash: bytes


def written(root: UUID, workflows: Iterable[UUID], lines: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of a bundle. `lines` are the rows: a table, and the row as the text of a JSON
    object."""
    first = json.dumps(
        {"format": FORMAT, "root": str(root), "workflows": [str(each) for each in workflows]}
    )
    body = [f'{{"table":"{table}","row":{row}}}' for table, row in lines]
    text = "\n".join([first, *body, json.dumps({"rows": len(body)}), ""])
    return gzip.compress(text.encode(), _LEVEL, mtime=0)


def id_of(volume: UUID, root: UUID) -> UUID:
    """The id of the bundle of a root in a volume."""
    return uuid5(volume, str(root))


def key_of(volume: UUID) -> str:
    """The key under which the storage keeps a volume, a file with bundles one after the other."""
    return f"archive/{volume.hex[-2:]}/{volume}.jsonl.gz"


def digest(data: bytes) -> str:
    """The hash of a file of the archive."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Bundle:
    """The content of a bundle. Rows have the texts of their columns that are not null."""

    root: UUID
    workflows: tuple[UUID, ...]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    size: int = 0
    """The bytes of its text."""

    def of(self, table: str, workflow: UUID, owner: str = "workflow_id") -> list[Row]:
        """The rows of one workflow, in their order."""
        name = str(workflow)
        return [row for row in self.rows.get(table, ()) if row.get(owner) == name]

    @cached_property
    def moved(self) -> int:
        """How many rows it has that are deleted when it is archived."""
        return sum(len(self.rows.get(table, ())) for table in MOVED)

    @cached_property
    def heads(self) -> dict[UUID, Head]:
        """The head of each workflow, after its chain of events was computed again.

        Raises BundleDamaged at the first fault.
        """
        found = {}
        chains = {str(each): Chain(each) for each in self.workflows}
        for row in self.rows.get("events", ()):
            chain = chains.get(row["workflow_id"])
            if chain is None:
                raise BundleDamaged(f"it has an event of another workflow, {row['workflow_id']}")
            digest = bytes.fromhex(row["hash"].removeprefix("\\x"))
            chain.add(int(row["seq"]), row["body"], digest)
            found[chain.workflow] = Head(chain.seq, digest)
        for chain in chains.values():
            for fault in chain.end():
                at = "" if fault.seq is None else f" event {fault.seq}"
                raise BundleDamaged(f"{fault.workflow}{at}: {fault.wrong}")
        return found


def parsed(data: bytes, most: int | None = None) -> Bundle:
    """The content of a bundle's bytes. Raises BundleDamaged if they are no whole bundle, and
    BundleTooLarge if its text has more than `most` bytes."""
    try:
        text = gzip.decompress(data) if most is None else _inflated(data, most)
        first, *lines, last = text.decode().removesuffix("\n").split("\n")
        head = json.loads(first)
        if head["format"] != FORMAT:
            raise BundleDamaged(f"its format {head['format']} is not known to this release")
        bundle = Bundle(UUID(head["root"]), tuple(map(UUID, head["workflows"])), size=len(text))
        for line in map(json.loads, lines):
            bundle.rows.setdefault(line["table"], []).append(line["row"])
        if json.loads(last)["rows"] != len(lines):
            raise BundleDamaged("some of its rows are missing")
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as err:
        raise BundleDamaged(f"it cannot be read: {err}") from err
    return bundle


def _inflated(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    text = stream.decompress(data, most + 1)
    if len(text) > most:
        raise BundleTooLarge(f"its text has more than {most} bytes")
    if not stream.eof or stream.unused_data:
        raise BundleDamaged("it is not one whole gzip file")
    return text


def checked(data: bytes, sha256: str, most: int | None = None) -> Bundle:
    """The content of a bundle whose hash is known. Raises BundleDamaged if it has another, and
    BundleTooLarge if its text has more than `most` bytes."""
    found = digest(data)
    if found != sha256:
        raise BundleDamaged(f"its hash is {found}, but {sha256} was recorded")
    return parsed(data, most)
