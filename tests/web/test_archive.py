"""The archive over HTTP and on the command line; lists and reads of what was archived."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from app.identity import keys
from app.settings import Settings
from ops.cli import playalter
from tests.web.conftest import Caller, change
from web.archive.schemas import ArchiveRun, ArchiveState, HoldPage

NOBODY = "0190a000-0000-7000-8000-000000000000"


@pytest.fixture
def operator(settings: Settings) -> Caller:
    """A user with an admin key."""
    return Caller(*keys.create_key("root@example.com", is_admin=True))


@pytest.fixture
def ended(start: Callable[..., UUID]) -> UUID:
    """A workflow that has ended a hundred days ago."""
    made = start()
    change(
        "UPDATE workflows SET status = 'succeeded', completed_at = clock_timestamp()"
        " WHERE id = :id",
        id=made,
    )
    change("UPDATE steps SET status = 'succeeded' WHERE workflow_id = :id", id=made)
    change("INSERT INTO clock_offset (amount) VALUES ('100 days')")
    return made


def asked(client: FlaskClient, who: Caller, method: str, path: str, **rest: Any) -> Any:
    answer = client.open(f"/v1/{path}", method=method, headers=who.headers, **rest)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_an_operator_archives_and_everybody_reads_what_was_there(
    client: FlaskClient, caller: Caller, operator: Caller, stranger: Caller, ended: UUID
) -> None:
    before = asked(client, caller, "GET", f"workflows/{ended}")
    listed = asked(client, caller, "GET", "workflows")["items"]
    found = asked(client, operator, "POST", "archive/run", json={})
    assert (ArchiveRun(**found).families, found["types"]) == (1, {"only_rows": 1})
    done = asked(client, operator, "POST", "archive/run", json={"dry_run": False, "share": 1.0})
    assert (ArchiveRun(**done).workflows, done["is_complete"]) == (1, True)
    after = asked(client, caller, "GET", f"workflows/{ended}")
    assert after["archived_at"] is not None
    assert after | {"archived_at": None} == before
    assert asked(client, caller, "GET", "workflows")["items"] == []
    for who in (caller, operator):
        (item,) = asked(client, who, "GET", "workflows?archived=true&type=only_rows")["items"]
        assert item | {"owner": None, "archived_at": None} == listed[0]
    assert asked(client, stranger, "GET", "workflows?archived=true")["items"] == []
    assert asked(client, caller, "GET", "workflows?archived=true&status=failed")["items"] == []
    stream = client.get(
        f"/v1/workflows/{ended}/events", headers=caller.headers | {"Accept": "text/event-stream"}
    )
    assert "WorkflowStarted" in stream.text
    bundle = client.get(f"/v1/archive/{ended}/bundle", headers=caller.headers)
    first = json.loads(gzip.decompress(bundle.data).split(b"\n")[0])
    assert first["workflows"] == [str(ended)]
    state = ArchiveState(**asked(client, operator, "GET", "archive"))
    assert (state.workflows, state.manifest and state.manifest.number) == (1, 1)


def test_only_operators_hold_and_restore(
    client: FlaskClient, caller: Caller, operator: Caller, ended: UUID
) -> None:
    for method, path, body in (
        ("GET", "archive", None),
        ("POST", "archive/run", {}),
        ("GET", "archive/holds", None),
        ("POST", f"archive/{ended}/hold", {"reason": "why"}),
        ("POST", f"archive/{ended}/release", None),
        ("POST", f"archive/{ended}/restore", None),
    ):
        answer = client.open(f"/v1/{path}", method=method, headers=caller.headers, json=body)
        assert (answer.status_code, answer.json and answer.json["code"]) == (403, "admin_required")
    asked(client, operator, "POST", f"archive/{ended}/hold", json={"reason": "a dispute"})
    page = HoldPage(**asked(client, operator, "GET", "archive/holds"))
    assert [(each.root_id, each.reason) for each in page.items] == [(ended, "a dispute")]
    requests: list[tuple[str, Any, int]] = [
        (f"archive/{NOBODY}/hold", {"reason": "why"}, 404),
        (f"archive/{NOBODY}/restore", None, 404),
        (f"archive/{ended}/restore", None, 404),
        ("archive/run", {"dry_run": False, "hot": "3d"}, 422),
    ]
    for path, body, status in requests:
        answer = client.post(f"/v1/{path}", headers=operator.headers, json=body)
        assert answer.status_code == status, answer.text
    assert client.get(f"/v1/archive/{ended}/bundle", headers=caller.headers).status_code == 404


def test_the_command_line_archives_and_restores(
    server: str,
    caller: Caller,
    operator: Caller,
    ended: UUID,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PLAYALTER_URL", server)
    monkeypatch.setenv("PLAYALTER_API_KEY", operator.key)

    def said(*words: str, code: int = 0) -> str:
        done: Result = CliRunner().invoke(playalter, ["archive", *words])
        assert done.exit_code == code, done.output
        return done.output

    assert "would archive 1 workflows in 1 families" in said("run", "--dry-run", "--hot", "30d")
    assert said("hold", str(ended), "--reason", "a dispute") == f"{ended} held\n"
    assert "a dispute" in said("holds")
    assert "not now, held: 1" in said("run", "--dry-run")
    said("release", str(ended))
    assert "1 archived, 1 workflows, 0 erased" in said("run", "--share", "1")
    assert "1 bundles, 1 workflows" in said("status")
    assert "no such workflow" in said("bundle", str(ended), "--to", str(tmp_path / "b"), code=2)
    monkeypatch.setenv("PLAYALTER_API_KEY", caller.key)
    assert said("bundle", str(ended), "--to", str(tmp_path / "b")) == ""
    assert gzip.decompress((tmp_path / "b").read_bytes()).startswith(b'{"format"')
    assert CliRunner().invoke(playalter, ["list", "--archived"]).output.count("only_rows") == 1
    monkeypatch.setenv("PLAYALTER_API_KEY", operator.key)
    assert f"{ended} restored: 1 workflows" in said("restore", str(ended))
    assert "was restored before" in said("restore", str(ended))
    assert "not held" in said("release", str(ended), code=2)
