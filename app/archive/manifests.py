"""Manifests: each names bundles by their hashes, and the manifest before it by its own.

A manifest is first a row with its text, and then a file; after that the row holds only the hash. So
a process that dies between the two leaves nothing to find, and the next one writes the same file.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.archive.connecting import Step, dicts, go_on, transaction
from app.files.storage import storage

FIRST = "0" * 64
"""What the first manifest names as the one before it."""
_MOST = 5000
_LOCK = 0x61726368  # an advisory lock: two processes must not give the same number


@dataclass(frozen=True)
class Named:
    """A bundle as a manifest names it."""

    root: UUID
    id: UUID
    sha256: str
    workflows: int


def make_all(writing: Any, step: Step = go_on) -> int:
    """Name all bundles and removals that no manifest names yet. Returns the number of manifests."""
    made = 0
    while True:
        write_files(writing, step)
        if _make(writing) is None:
            return made
        made += 1
        step("manifest_made")


def write_files(writing: Any, step: Step = go_on) -> None:
    """Write the files of manifests that are only rows yet."""
    waiting = (
        "SELECT number, key, body FROM archive_manifests WHERE body IS NOT NULL ORDER BY number"
    )
    for row in dicts(writing, waiting):
        storage().write(row["key"], row["body"].encode())
        step("manifest_written")
        dicts(
            writing, "UPDATE archive_manifests SET body = NULL WHERE number = %s", (row["number"],)
        )


def key_of(number: int) -> str:
    """The key under which the storage keeps a manifest."""
    return f"archive/manifests/{number:012}.json"


def _make(writing: Any) -> int | None:
    """Make one manifest as a row; its number, or None if there is nothing to name."""
    with transaction(writing):
        dicts(writing, "SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        return _made(writing)


def _made(writing: Any) -> int | None:
    last = dicts(
        writing, "SELECT number, sha256 FROM archive_manifests ORDER BY number DESC LIMIT 1"
    )
    number = last[0]["number"] + 1 if last else 1
    previous = last[0]["sha256"] if last else FIRST
    bundles = dicts(writing, _UNNAMED, (_MOST,))
    erased = dicts(writing, _UNTOLD, (_MOST,))
    if not bundles and not erased:
        return None
    at = dicts(writing, "SELECT utc_text(clock_timestamp()) AS at")[0]["at"]
    body = json.dumps(
        {
            "number": number,
            "at": at,
            "previous": previous,
            "bundles": [_named(row) for row in bundles],
            "erased": [_named(row) | {"because": row["state"]} for row in erased],
        },
        separators=(",", ":"),
    )
    dicts(
        writing,
        "INSERT INTO archive_manifests (number, previous, sha256, key, bundles, workflows, bytes,"
        " erased, body) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            number,
            previous,
            hashlib.sha256(body.encode()).hexdigest(),
            key_of(number),
            len(bundles),
            sum(row["workflows"] for row in bundles),
            sum(row["size"] for row in bundles),
            len(erased),
            body,
        ),
    )
    for column, rows in (("manifest", bundles), ("erased_by", erased)):
        dicts(
            writing,
            f"UPDATE archive_bundles SET {column} = %s WHERE id = ANY (%s::uuid[])",
            (number, [row["id"] for row in rows]),
        )
    return number


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "root": str(row["root_id"]),
        "bundle": str(row["id"]),
        "sha256": bytes(row["sha256"]).hex(),
        "workflows": row["workflows"],
    }


_UNNAMED = """
SELECT root_id, id, sha256, workflows, size FROM archive_bundles
 WHERE manifest IS NULL ORDER BY id LIMIT %s FOR UPDATE
"""
_UNTOLD = """
SELECT root_id, id, sha256, workflows, state FROM archive_bundles
 WHERE state IN ('replaced', 'expired') AND erased_by IS NULL AND manifest IS NOT NULL
 ORDER BY id LIMIT %s FOR UPDATE
"""


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest's file."""

    number: int
    previous: str
    bundles: tuple[Named, ...]
    erased: tuple[Named, ...]


def parsed(data: bytes) -> Manifest:
    """The content of a manifest. Raises ValueError, KeyError or TypeError if it is none."""
    found = json.loads(data)
    return Manifest(
        int(found["number"]),
        str(found["previous"]),
        tuple(_names(found["bundles"])),
        tuple(_names(found["erased"])),
    )


def _names(rows: Any) -> Iterator[Named]:
    for row in rows:
        yield Named(
            *(UUID(row["root"]), UUID(row["bundle"])),
            *(str(row["sha256"]), int(row["workflows"])),
        )
