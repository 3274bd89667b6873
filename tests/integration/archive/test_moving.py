"""A family moves to its bundle whole, and is read from there as it was."""

from dataclasses import replace
from uuid import UUID

import psycopg2
import pytest

from app import db, queries
from app.archive import manifests
from app.archive.bundle import key_of
from app.archive.connecting import connected
from app.identity import keys
from app.record.verification import Tally, heads, verify
from app.settings import current
from tests.integration.archive.conftest import move, rows_of, seen
from tests.integration.conftest import Kernel


def test_what_is_read_by_id_is_the_same_from_the_bundle(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    before = [seen(each, kernel.user_id) for each in family]
    moved = move(family[0])
    assert (moved.archived, moved.workflows) == (1, 2)
    assert rows_of(*family) == {}
    assert [seen(each, kernel.user_id) for each in family] == before
    assert queries.workflow_detail(family[0], kernel.user_id)["archived_at"] is not None
    summary = queries.workflow_summary(family[0], kernel.user_id)
    assert {name: summary[name] for name in ("id", "status")} == {
        "id": str(family[0]),
        "status": "succeeded",
    }


FORBIDDEN = (
    "DELETE FROM events",
    "UPDATE events SET body = ''",
    "TRUNCATE events",
    "DELETE FROM archived",
    "TRUNCATE archived",
    "UPDATE archived SET head_seq = 1",
    """WITH w AS (SELECT jsonb_build_object('workflow_id', id) AS other FROM workflows)
       INSERT INTO archived SELECT (jsonb_populate_record(a, other)).* FROM archived a, w""",
)


def test_no_event_is_deleted_but_with_the_head_in_the_archive(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    kernel.start("noop_chain")
    move(family[0])
    for statement in FORBIDDEN:
        with pytest.raises(psycopg2.errors.RaiseException):
            db.row(statement, ())


WITH_ITS_HEAD = """
INSERT INTO archived SELECT (jsonb_populate_record(a, jsonb_build_object(
  'workflow_id', w.id, 'root_id', %(root)s::uuid, 'head_seq', e.seq, 'head_hash', e.hash))).*
  FROM workflows AS w CROSS JOIN LATERAL (SELECT seq, hash FROM events WHERE workflow_id = w.id
    ORDER BY seq DESC LIMIT 1) AS e CROSS JOIN archived AS a
 WHERE w.id = %(id)s AND a.workflow_id = a.root_id
"""


def test_neither_a_live_workflow_nor_one_without_a_bundle_is_noted_as_archived(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    move(family[0])
    live, ended = kernel.start("noop_chain"), kernel.start("noop_chain")
    db.row("UPDATE workflows SET completed_at = now() WHERE id = %s", (ended,))
    for workflow, root in ((live, live), (ended, ended), (ended, family[0])):
        with pytest.raises(psycopg2.errors.RaiseException, match="has not ended"):
            db.row(WITH_ITS_HEAD, {"id": workflow, "root": root})


def test_a_stream_goes_on_when_its_workflow_is_archived(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    user_id, key = keys.create_key("ada@example.com")
    watched = queries.Watched(family[1], user_id, 1, key.split("_")[1])
    before = queries.workflow_tails([watched])
    move(family[0])
    assert queries.workflow_tails([watched]) == before
    assert before[0] is not None
    assert before[0].is_complete
    assert queries.workflow_tails([replace(watched, key_prefix="none")]) == [None]


def test_verification_reads_bundles_and_manifests(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    kernel.start("noop_chain")
    exported = list(heads())
    move(family[0])
    with connected() as writing:
        assert manifests.make_all(writing) == 1
    assert next(heads(family[1])).hash == next(
        each.hash for each in exported if each.workflow == family[1]
    )
    tally = Tally()
    assert list(verify(None, exported, tally)) == []
    assert tally.workflows == 3
    assert list(verify(family[1], [each for each in exported if each.workflow == family[1]])) == []
    row = db.row("SELECT id FROM archive_volumes", ())
    assert row is not None
    file = current().storage_dir / key_of(row["id"])
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"!")
    assert "hash" in next(verify()).wrong
    file.unlink()
    assert "missing" in next(verify()).wrong
    file.write_bytes(data)
    assert list(verify()) == []
    manifest = current().storage_dir / manifests.key_of(1)
    manifest.write_bytes(manifest.read_bytes().replace(b'"workflows":2', b'"workflows":3'))
    assert [each.wrong for each in verify()] == ["manifest 1 is not the one that was recorded"]
