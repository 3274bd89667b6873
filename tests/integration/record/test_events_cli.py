"""The commands `playalter events`: what they print, and their exit codes."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from app import db
from app.protocol import outcomes
from app.protocol.outcomes import Finish
from tests import forked
from tests.integration.conftest import NOTHING, Kernel

NOBODY = "0190a000-0000-7000-8000-000000000000"


def playalter(*arguments: str, given: str = "", **changes: str) -> tuple[int, str, str]:
    """Run `playalter events`, and return (exit code, stdout, stderr)."""
    ended = forked.playalter("events", *arguments, given=given, **changes)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def workflow(kernel: Kernel) -> UUID:
    """A workflow with two events, and another with one."""
    made = kernel.start("noop_chain")
    outcomes.finish_step(kernel.claim(made, "first"), NOTHING, Finish({"n": 1}))
    kernel.start("noop_chain")
    return made


def forge(sql: str, workflow: UUID) -> None:
    db.row("ALTER TABLE events DISABLE TRIGGER USER", ())
    db.row(sql, (workflow,))


def test_verify_names_what_is_wrong_and_fails(workflow: UUID) -> None:
    code, said, summary = playalter("verify")
    assert (code, said) == (0, "")
    assert "2 workflows, 3 events, no faults" in summary
    forge("UPDATE events SET body = body || ' ' WHERE workflow_id = %s AND seq = 2", workflow)
    code, said, summary = playalter("verify", str(workflow))
    assert (code, said.startswith(f"{workflow} event 2: changed")) == (1, True)
    assert "1 workflows, 2 events, 1 fault" in summary
    code, said, _ = playalter("verify", "--json")
    assert (code, json.loads(said)["seq"]) == (1, 2)


def test_exported_heads_find_a_cut_tail(workflow: UUID, tmp_path: Path) -> None:
    file = tmp_path / "heads.jsonl"
    code, said, _ = playalter("export-heads")
    assert (code, len(said.splitlines())) == (0, 2)
    assert playalter("export-heads", "--to", str(file))[0] == 0
    assert file.read_text() == said
    assert list(tmp_path.glob("heads*")) == [file]
    forge("DELETE FROM events WHERE workflow_id = %s AND seq = 2", workflow)
    assert playalter("verify")[0] == 0
    code, said, _ = playalter("verify", "--heads", str(file))
    assert (code, f"{workflow} event 2: missing" in said) == (1, True)
    assert playalter("verify", str(workflow), "--heads", str(file))[0] == 1


def test_rebuild_reports_differences_and_fails(workflow: UUID) -> None:
    code, said, summary = playalter("rebuild")
    assert (code, said) == (0, "")
    assert "2 workflows, 3 events, no differences" in summary
    db.row("UPDATE steps SET tries = 7 WHERE workflow_id = %s AND key = 'first'", (workflow,))
    code, said, _ = playalter("rebuild", str(workflow))
    assert code == 1
    assert said == f"{workflow} first tries: events say 0, the row says 7\n"
    code, said, _ = playalter("rebuild", "--json")
    assert (code, json.loads(said)["step"], json.loads(said)["row_says"]) == (1, "first", "7")


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "word"),
    [
        (["verify", NOBODY], {}, 2, "no such workflow"),
        (["rebuild", NOBODY], {}, 2, "no such workflow"),
        (["verify", "42"], {}, 2, "not a valid UUID"),
        (["verify", "--heads", "-"], {}, 2, "line 1 is not an exported head"),
        (["export-heads", "--to", "/no/such/folder/heads"], {}, 2, "No such file"),
        (["verify"], {"DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, 3, "refused"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line_and_by_the_exit_code(
    kernel: Kernel, arguments: list[str], changes: dict[str, str], code: int, word: str
) -> None:
    ended, _, said = playalter(*arguments, given="nonsense", **changes)
    assert ended == code, said
    assert word in said
