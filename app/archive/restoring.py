"""Brings archived families back as rows, after their bundle was verified.

Invariant: the rows come back in one transaction, all of them or none. The bundle stays, and the
next archive of the family replaces it.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.archive import reading, tables
from app.archive.bundle import Bundle, BundleDamaged
from app.archive.connecting import connected, dicts, transaction
from app.errors import Conflict, NotFound, Unavailable


@dataclass(frozen=True)
class Restored:
    """The root of the family, how many workflows it has, and whether this call restored it."""

    root: UUID
    workflows: int
    is_new: bool


def restore(workflow_id: UUID, by: str) -> Restored:
    """Restore the family of an archived workflow; a restored one is left as it is.

    Raises NotFound if the workflow was never archived, Conflict if it was erased, and Unavailable
    if the bundle is missing or damaged.
    """
    with connected() as connection:
        rows = dicts(connection, _FAMILY, (workflow_id,))
        if not rows:
            raise NotFound("the workflow is not in the archive", code="not_archived")
        _refuse_erased(rows)
        if rows[0]["state"] == "restored":
            return Restored(rows[0]["root_id"], len(rows), is_new=False)
        bundle = _verified(rows)
        with transaction(connection), connection.cursor() as cursor:
            is_new = _restore(connection, cursor, rows[0]["root_id"], bundle, by)
    return Restored(rows[0]["root_id"], len(rows), is_new)


def _refuse_erased(rows: list[dict[str, Any]]) -> None:
    if rows[0]["state"] == "erased":
        raise Conflict(
            "the workflow was erased; nothing is left to restore", code="workflow_erased"
        )


def _verified(rows: list[dict[str, Any]]) -> Bundle:
    """The bundle of a family, whose heads are those in the rows."""
    try:
        bundle = reading.verified(reading.Place.of(rows[0]))
        heads = {id: (head.seq, head.hash) for id, head in bundle.heads.items()}
    except (NotFound, BundleDamaged) as err:
        message = f"the bundle cannot be restored: {err}; `playalter events verify` says more"
        raise Unavailable(message, code="bundle_unreadable") from err
    if heads != {row["workflow_id"]: (row["head_seq"], bytes(row["head_hash"])) for row in rows}:
        message = "the bundle has other events than were archived"
        raise Unavailable(message, code="bundle_unreadable")
    return bundle


def _restore(connection: Any, cursor: Any, root: UUID, bundle: Bundle, by: str) -> bool:
    rows = dicts(
        connection,
        "SELECT state FROM archived WHERE root_id = %s ORDER BY workflow_id FOR UPDATE",
        (root,),
    )
    _refuse_erased(rows)
    if rows[0]["state"] == "restored":
        return False
    known = tables.columns(cursor)
    for table in tables.MOVED:
        given = bundle.rows.get(table, [])
        if given:
            tables.insert(cursor, known, table, json.dumps(given))
    cursor.execute(
        "UPDATE archived SET state = 'restored', restored_at = playalter_now(), restored_by = %s"
        " WHERE root_id = %s",
        (by, root),
    )
    cursor.execute(
        "UPDATE archive_bundles SET state = 'restored' WHERE root_id = %s AND state = 'archived'",
        (root,),
    )
    return True


_FAMILY = """
SELECT a.workflow_id, a.root_id, a.state, a.head_seq, a.head_hash,
       b.volume_id, b.start, b.size, b.sha256
  FROM archived AS o JOIN archived AS a ON a.root_id = o.root_id
  JOIN archive_bundles AS b ON b.id = a.bundle_id WHERE o.workflow_id = %s ORDER BY a.workflow_id
"""
