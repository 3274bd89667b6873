"""Verifies the archive: the bundles, what PostgreSQL says of their workflows, and the manifests."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from app.archive import manifests, reading
from app.archive.bundle import Bundle, BundleDamaged, digest
from app.archive.connecting import dicts, snapshot
from app.archive.manifests import Manifest, Named
from app.chain import Chain, Fault, Head
from app.errors import NotFound
from app.files.storage import storage

_PAGE = 200
_FIRST = UUID(int=0)
Row = dict[str, Any]


class Archive:
    """What was archived, with the exported heads that only a bundle can confirm."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._older: dict[UUID, list[Head]] = {}
        self.workflows = 0
        self.events = 0

    def confirm(self, head: Head) -> Iterator[Fault]:
        """Compare an exported head with an archived workflow, of which there are no events here."""
        with self._connection:
            rows = dicts(self._connection, _SLIM, (head.workflow,))
        if not rows:
            wrong = "the workflow and all its events are missing"
            yield Fault(head.workflow, None, f"{wrong}; event {head.seq} was exported as head")
        elif head.seq > rows[0]["head_seq"]:
            wrong = f"it was archived with {rows[0]['head_seq']} events"
            yield Fault(head.workflow, head.seq, f"{wrong}, but event {head.seq} was exported")
        elif head.seq == rows[0]["head_seq"]:
            now = bytes(rows[0]["head_hash"]).hex()
            if head.hash != now:
                wrong = f"changed: its hash is {now}, but {head.hash} was exported"
                yield Fault(head.workflow, head.seq, wrong)
        elif rows[0]["state"] != "erased":
            self._older.setdefault(head.workflow, []).append(head)

    def verify(self, only: UUID | None, exported: Mapping[int, str]) -> Iterator[Fault]:
        """Yield the faults of all bundles, or of that of one workflow, and of all manifests.

        `exported` has the hashes of manifests that were exported, by their numbers.
        """
        after = _FIRST
        while True:
            with self._connection:
                rows = dicts(self._connection, _BUNDLES, (only, only, after, _PAGE))
                heads = self._slim([row["id"] for row in rows])
            for row in rows:
                yield from self._bundle(row, heads.get(row["id"], {}), only)
            if len(rows) < _PAGE:
                break
            after = rows[-1]["id"]
        if only is None:
            with self._connection:
                yield from _lost(dicts(self._connection, _WITHOUT_BUNDLE))
            yield from self._manifests(exported)

    def _slim(self, ids: list[UUID]) -> dict[UUID, dict[UUID, tuple[int, bytes]]]:
        found: dict[UUID, dict[UUID, tuple[int, bytes]]] = {}
        for row in dicts(self._connection, _HEADS, (ids,)):
            head = row["head_seq"], bytes(row["head_hash"])
            found.setdefault(row["bundle_id"], {})[row["workflow_id"]] = head
        return found

    def _bundle(
        self, row: Row, slim: Mapping[UUID, tuple[int, bytes]], only: UUID | None
    ) -> Iterator[Fault]:
        root = row["root_id"]
        try:
            bundle = reading.verified(reading.Place.of(row))
            heads = {id: (head.seq, head.hash) for id, head in bundle.heads.items()}
        except NotFound:
            with self._connection:
                rows = dicts(self._connection, _STATE, (row["id"], row["state"], row["volume_id"]))
            # The job may have removed it just now.
            if rows:
                yield Fault(root, None, f"its bundle {row['id']} is missing")
            return
        except BundleDamaged as err:
            yield Fault(root, None, f"its bundle {row['id']}: {err}")
            return
        if row["state"] == "archived":
            self.workflows += len(heads) if only is None else only in heads
            self.events += len(bundle.rows.get("events", ()))
            for id in sorted(heads.keys() | slim.keys()):
                if heads.get(id) != slim.get(id):
                    wrong = "its bundle and its row in the archive have different heads"
                    yield Fault(id, None, wrong)
            for id in heads:
                yield from _compared(bundle, id, self._older.pop(id, []))

    def _manifests(self, exported: Mapping[int, str]) -> Iterator[Fault]:
        previous, number = manifests.FIRST, 0
        while True:
            with self._connection:
                rows = dicts(self._connection, _MANIFEST, (number,))
                if not rows:
                    break
                known = {name: dicts(self._connection, sql, (number + 1,)) for name, sql in _OF}
            row, number = rows[0], number + 1
            if row["number"] != number:
                yield Fault(None, None, f"manifest {number} is missing")
                number = row["number"]
            elif row["previous"] != previous:
                yield Fault(
                    None, None, f"manifest {number} follows another one than the one before"
                )
            yield from _manifest(row, known, exported.get(number))
            previous = row["sha256"]
        for lost in sorted(each for each in exported if each > number):
            yield Fault(None, None, f"manifest {lost} is missing, but it was exported")


def _compared(bundle: Bundle, workflow: UUID, heads: list[Head]) -> Iterator[Fault]:
    """Compare older exported heads with the events of a bundle, whose chain was verified."""
    if not heads:
        return
    chain = Chain(workflow, heads)
    for row in bundle.of("events", workflow):
        chain.add(int(row["seq"]), row["body"], bytes.fromhex(row["hash"].removeprefix("\\x")))
    yield from chain.end()


def _lost(rows: Iterable[Row]) -> Iterator[Fault]:
    for row in rows:
        yield Fault(row["workflow_id"], None, "it is archived, but its bundle is not recorded")


def _manifest(row: Row, known: dict[str, list[Row]], exported: str | None) -> Iterator[Fault]:
    name = f"manifest {row['number']}"
    if exported is not None and exported != row["sha256"]:
        wrong = f"{name} was changed: its hash is {row['sha256']}, but {exported} was exported"
        yield Fault(None, None, wrong)
    if row["body"] is not None:
        return  # its file is written by the next run
    try:
        data = storage().read(row["key"])
        found = manifests.parsed(data)
    except NotFound:
        yield Fault(None, None, f"{name} is missing in the storage")
        return
    except (ValueError, KeyError, TypeError) as err:
        yield Fault(None, None, f"{name} cannot be read: {err}")
        return
    if digest(data) != row["sha256"] or (found.number, found.previous) != (
        row["number"],
        row["previous"],
    ):
        yield Fault(None, None, f"{name} is not the one that was recorded")
        return
    yield from _contents(name, found, known)


def _contents(name: str, found: Manifest, known: dict[str, list[Row]]) -> Iterator[Fault]:
    for field, words in (("bundles", "names"), ("erased", "tells of the removal of")):
        named: tuple[Named, ...] = getattr(found, field)
        listed = {(each.id, each.sha256): each.root for each in named}
        recorded = {(row["id"], bytes(row["sha256"]).hex()): row["root_id"] for row in known[field]}
        for key in sorted(listed.keys() - recorded.keys()):
            yield Fault(
                listed[key], None, f"{name} {words} its bundle {key[0]}, which is not recorded"
            )
        for key in sorted(recorded.keys() - listed.keys()):
            wrong = f"its bundle {key[0]} is recorded for {name}, which does not name it"
            yield Fault(recorded[key], None, wrong)


_SLIM = """
SELECT state, head_seq, head_hash FROM archived WHERE workflow_id = %s AND state <> 'restored'
"""
_BUNDLES = """
SELECT id, root_id, volume_id, start, size, sha256, state FROM archive_bundles
 WHERE (%s::uuid IS NULL
        OR id = (SELECT bundle_id FROM archived WHERE workflow_id = %s AND state <> 'restored'))
   AND id > %s AND (state IN ('archived', 'restored')
                     OR state IN ('replaced', 'expired') AND erased_by IS NULL)
 ORDER BY id LIMIT %s
"""
_STATE = "SELECT id FROM archive_bundles WHERE id = %s AND state = %s AND volume_id = %s"
_HEADS = """
SELECT bundle_id, workflow_id, head_seq, head_hash FROM archived
 WHERE root_id IN (SELECT root_id FROM archive_bundles WHERE id = ANY (%s::uuid[]))
   AND state = 'archived'
"""
_WITHOUT_BUNDLE = """
SELECT workflow_id FROM archived AS a WHERE NOT EXISTS (
  SELECT FROM archive_bundles AS b WHERE b.id = a.bundle_id AND b.state = CASE a.state
    WHEN 'erased' THEN CASE b.state WHEN 'expired' THEN 'expired' ELSE 'erased' END
    ELSE a.state END)
 ORDER BY workflow_id LIMIT 20
"""
_MANIFEST = "SELECT * FROM archive_manifests WHERE number > %s ORDER BY number LIMIT 1"
_OF = (
    ("bundles", "SELECT id, sha256, root_id FROM archive_bundles WHERE manifest = %s"),
    ("erased", "SELECT id, sha256, root_id FROM archive_bundles WHERE erased_by = %s"),
)


def last_manifest() -> Row | None:
    """The number, the hash and the time of the newest manifest."""
    with snapshot() as connection, connection:
        rows = dicts(
            connection,
            "SELECT number, sha256, (extract(epoch FROM made_at) * 1000000)::bigint AS at"
            " FROM archive_manifests ORDER BY number DESC LIMIT 1",
        )
    return rows[0] if rows else None
