"""Verification of the record: every kind of forgery is found and named."""

import json
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import db
from app.chain import Fault, Head
from app.protocol import outcomes
from app.protocol.outcomes import Finish
from app.record import verification
from app.record.anchors import HeadInvalid, read_heads
from app.record.verification import Tally, heads, verify
from tests.integration.conftest import NOTHING, Kernel

EACH = 1_000


def forge(sql: str, *parameters: Any) -> None:
    """Change the record as only the owner of the database can."""
    db.row("ALTER TABLE events DISABLE TRIGGER USER", ())
    db.row(sql, parameters)
    db.row("ALTER TABLE events ENABLE TRIGGER USER", ())


def run(kernel: Kernel) -> UUID:
    """A workflow that has succeeded: five events."""
    workflow = kernel.start("noop_chain")
    for key in ("first", "second", "third"):
        outcomes.finish_step(kernel.claim(workflow, key), NOTHING, Finish({"k": key}))
    return workflow


def found(exported: Iterable[Head] = ()) -> list[tuple[UUID | None, int | None, str]]:
    """The faults as (workflow, event, first words of what is wrong)."""
    faults = list(verify(None, exported))
    return [(each.workflow, each.seq, each.wrong.split(":")[0]) for each in faults]


def test_an_untouched_record_verifies(kernel: Kernel) -> None:
    run(kernel)
    kernel.start("noop_chain")
    tally = Tally()
    assert list(verify(None, heads(), tally)) == []
    assert (tally.workflows, tally.events) == (2, 6)


@pytest.mark.parametrize("seq", [1, 3, 5])
@pytest.mark.parametrize(
    "change",
    [
        "body = replace(body, '\"at\":1', '\"at\":2')",
        "hash = set_byte(hash, 31, get_byte(hash, 31) # 1)",
    ],
    ids=["text", "hash"],
)
def test_one_changed_row_is_the_one_fault(kernel: Kernel, change: str, seq: int) -> None:
    run(kernel)
    workflow = run(kernel)
    forge(f"UPDATE events SET {change} WHERE workflow_id = %s AND seq = %s", workflow, seq)
    assert found() == [(workflow, seq, "changed")]


@pytest.mark.parametrize(
    ("removed", "named", "said"),
    [([1], 1, "the first event"), ([3], 3, "missing"), ([2, 3, 4], 2, "up to event 4")],
)
def test_missing_rows_are_named(kernel: Kernel, removed: list[int], named: int, said: str) -> None:
    workflow = run(kernel)
    forge("DELETE FROM events WHERE workflow_id = %s AND seq = ANY (%s)", workflow, removed)
    (fault,) = verify()
    assert (fault.workflow, fault.seq) == (workflow, named)
    assert said in fault.wrong


def test_rows_in_another_order_are_named_and_no_other(kernel: Kernel) -> None:
    workflow = run(kernel)
    forge(
        "UPDATE events SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END"
        " WHERE workflow_id = %s AND seq IN (2, 3)",
        workflow,
    )
    forge("UPDATE events SET seq = -seq WHERE workflow_id = %s AND seq < 0", workflow)
    assert found() == [(workflow, 2, "reordered"), (workflow, 3, "reordered")]


def test_a_removed_row_whose_followers_moved_up_is_found(kernel: Kernel) -> None:
    workflow = run(kernel)
    forge("DELETE FROM events WHERE workflow_id = %s AND seq = 3", workflow)
    forge("UPDATE events SET seq = seq - 1 WHERE workflow_id = %s AND seq = 4", workflow)
    forge("UPDATE events SET seq = seq - 1 WHERE workflow_id = %s AND seq = 5", workflow)
    assert found() == [(workflow, 3, "reordered")]


def test_events_of_another_workflow_do_not_pass_for_its_own(kernel: Kernel) -> None:
    workflow, other = run(kernel), run(kernel)
    forge("DELETE FROM events WHERE workflow_id = %s", workflow)
    assert found() == [(workflow, None, "the workflow has no events")]
    forge(
        "INSERT INTO events SELECT %s, seq, body, hash FROM events WHERE workflow_id = %s",
        workflow,
        other,
    )
    assert found() == [(workflow, 1, "changed")]


def test_a_cut_tail_verifies_by_itself_and_not_against_exported_heads(kernel: Kernel) -> None:
    workflow, other = run(kernel), run(kernel)
    exported = list(heads())
    forge("DELETE FROM events WHERE workflow_id = %s AND seq > 3", workflow)
    assert found() == []
    assert found(exported) == [(workflow, 5, "missing")]
    assert list(verify(other, [each for each in exported if each.workflow == other])) == []


def test_a_record_that_was_written_anew_is_found_by_its_exported_head(kernel: Kernel) -> None:
    workflow = run(kernel)
    exported = list(heads())
    forge("DELETE FROM events WHERE workflow_id = %s AND seq = 5", workflow)
    append = "SELECT append_event_v1(%s, 'WorkflowSucceeded', NULL, '{\"output\": \"forged\"}')"
    forge(append, workflow)
    assert found() == []
    assert found(exported) == [(workflow, 5, "changed")]


def test_a_workflow_that_is_gone_with_its_record_is_found_by_its_head(kernel: Kernel) -> None:
    gone = kernel.start("noop_chain")
    run(kernel)
    exported = list(heads())
    forge("DELETE FROM events WHERE workflow_id = %s", gone)
    db.row("DELETE FROM steps WHERE workflow_id = %s", (gone,))
    db.row("DELETE FROM workflows WHERE id = %s", (gone,))
    assert [(each.workflow, each.seq) for each in verify(None, exported)] == [(gone, None)]
    assert [each.workflow for each in verify(gone, exported[:1])] == [gone]


def test_events_whose_workflow_is_gone_are_found(kernel: Kernel) -> None:
    gone = run(kernel)
    run(kernel)
    db.row("DELETE FROM steps WHERE workflow_id = %s", (gone,))
    db.row("ALTER TABLE workflows DISABLE TRIGGER USER", ())
    db.row("DELETE FROM workflows WHERE id = %s", (gone,))
    assert list(verify()) == [Fault(gone, None, "the workflow has events, but its row is missing")]


def test_older_heads_hold_while_workflows_go_on(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    exported = list(heads())
    outcomes.finish_step(kernel.claim(workflow, "first"), NOTHING, Finish({}))
    kernel.start("noop_chain")
    assert found(exported) == []
    both = sorted([*exported, *heads()], key=lambda head: head.workflow)
    assert found(both) == []


def test_heads_come_back_from_their_lines(kernel: Kernel) -> None:
    workflow = run(kernel)
    kernel.start("noop_chain")
    exported = list(heads())
    lines = [head.line() for head in exported]
    assert lines == sorted(lines)
    assert [head.hash for head in read_heads([*lines, "\n"])] == [each.hash for each in exported]
    assert [head.workflow for head in read_heads(lines, workflow)] == [workflow]
    assert json.loads(lines[0])["at"] == kernel.events(workflow)[-1]["at"]
    with pytest.raises(HeadInvalid, match="line 2 is out of order"):
        list(read_heads(reversed(lines)))
    for line in ("nonsense", "[]", "{}", '{"workflow": "x", "seq": 1, "hash": "y"}'):
        with pytest.raises(HeadInvalid, match="line 1"):
            list(read_heads([line]))


def test_spans_leave_no_workflow_out_and_none_twice(kernel: Kernel) -> None:
    started = sorted(kernel.start("noop_chain") for _ in range(5))
    with db.snapshots() as connection:
        seen = [id for span in verification.spans(connection, None, size=2) for id in span.ids]
    assert seen == started


def test_a_reader_that_stops_early_leaves_nothing_open(kernel: Kernel) -> None:
    workflow = run(kernel)
    run(kernel)
    forge("UPDATE events SET body = body || ' ' WHERE workflow_id = %s AND seq = 2", workflow)
    assert next(verify()).seq == 2
    assert next(heads()).workflow == workflow
    # The server's side of a closed connection ends a moment after it.
    ends = time.monotonic() + 10.0
    while _readers() and time.monotonic() < ends:
        time.sleep(0.02)
    assert _readers() == []


def _readers() -> list[dict[str, Any]]:
    return db.rows(
        "SELECT state, query FROM pg_stat_activity WHERE application_name = 'playalter-events'"
        " AND datname = current_database()",
        (),
    )


def test_one_flipped_byte_among_many_events_is_found_in_bounded_memory(
    kernel: Kernel, tmp_path: Path
) -> None:
    find_flipped_byte(kernel, tmp_path, 20_000)
    assert memory_of_verify() < 4_000_000


@pytest.mark.long
def test_one_flipped_byte_among_100_000_events_is_found_in_bounded_time_and_memory(
    kernel: Kernel, tmp_path: Path
) -> None:
    assert find_flipped_byte(kernel, tmp_path, 100_000) < 15
    assert memory_of_verify() < 8_000_000


def find_flipped_byte(kernel: Kernel, tmp_path: Path, many: int) -> float:
    """Flip one byte among so many events, and see it found; how many seconds that took."""
    write_many(kernel, many)
    victim = db.row("SELECT workflow_id FROM events OFFSET %s LIMIT 1", (many // 2,))
    assert victim is not None
    file = tmp_path / "heads.jsonl"
    file.write_text("".join(f"{head.line()}\n" for head in heads()))
    forge(
        "UPDATE events SET body = overlay(body placing 'Z' from 60 for 1)"
        " WHERE workflow_id = %s AND seq = 789",
        victim["workflow_id"],
    )
    tally = Tally()
    began = time.monotonic()
    with file.open() as lines:
        faults = list(verify(None, read_heads(lines), tally))
    seconds = time.monotonic() - began
    assert [(each.workflow, each.seq) for each in faults] == [(victim["workflow_id"], 789)]
    assert tally.events == many
    return seconds


def memory_of_verify() -> int:
    """The most bytes that a verification of all events has in use, which finds one fault."""
    tracemalloc.start()
    try:
        assert len(list(verify())) == 1
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write_many(kernel: Kernel, many: int) -> None:
    """Write `many` events, in chains of EACH events, by one statement for all."""
    ids = [uuid4() for _ in range(many // EACH)]
    db.row(
        "INSERT INTO workflows (id, organisation_id, project_id, user_id, type, version, status,"
        " input, next_wake_at)"
        " SELECT made, organisation_id, project_id, u.id, 'noop_chain', 1, 'running', '{}', now()"
        " FROM users AS u, unnest(%s) AS made WHERE u.id = %s",
        (ids, kernel.user_id),
    )
    db.row(
        "CREATE FUNCTION pg_temp.line(seq integer) RETURNS text LANGUAGE sql AS $$ SELECT"
        " jsonb_build_object('seq', seq, 'at', 1790000000000000 + seq, 'type', 'StepSucceeded',"
        " 'step', 'swap[' || seq || '].render', 'data', jsonb_build_object('output',"
        " encode(sha256(seq::text::bytea), 'hex')))::text $$",
        (),
    )
    db.row(
        "INSERT INTO events WITH RECURSIVE chain (id, seq, body, hash) AS ("
        "  SELECT w.id, 1, t.body, sha256(sha256(uuid_send(w.id)) || convert_to(t.body, 'UTF8'))"
        "    FROM unnest(%s) AS w (id), LATERAL (SELECT pg_temp.line(1) AS body) AS t"
        "  UNION ALL SELECT c.id, c.seq + 1, t.body, sha256(c.hash || convert_to(t.body, 'UTF8'))"
        "    FROM chain c, LATERAL (SELECT pg_temp.line(c.seq + 1) AS body) AS t WHERE c.seq < %s)"
        " SELECT * FROM chain",
        (ids, EACH),
    )
