"""The kernel on a database of the test's own: settings, registered definitions, a user."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.broker.celery import celery_app
from app.protocol.claims import Claim, claim_step
from app.protocol.outcomes import Attempt
from app.record import verification
from app.settings import Settings, current
from chains import catalogue, commands, control, definitions, rebuild
from chains.asking import Caller, caller_of
from chains.reconcile import reconcile
from tests.forgetting import forget

NOTHING = Attempt(None, 0, [])
Threads = Callable[[Sequence[Callable[[], Any]]], list[Any]]


@pytest.fixture
def settings(
    fresh_database: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """This process's settings, on an empty database and an empty Valkey."""
    values = {
        "DATABASE_URL": fresh_database,
        "REDIS_URL": valkey_url,
        "STORAGE_DIR": str(tmp_path / "files"),
        "KEY_PEPPER": "pepper",
        "LINK_SECRET": "secret of links",
        "LEASE_SECONDS": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    forget()
    yield current()
    celery_app().close()
    forget()


@dataclass(frozen=True)
class Kernel:
    """A user's workflows, and short ways to their rows."""

    user_id: UUID

    def register(self, node: dict[str, Any], **rest: Any) -> str:
        """Register a definition with this root; its name."""
        name = f"sample_{abs(hash(str(node))) % 10**9}"
        catalogue.register({"name": name, "do": node, **rest}, activates=True)
        return name

    def start(self, type: str, input: dict[str, Any] | None = None, **rest: Any) -> UUID:
        """Start a workflow of the type."""
        started = commands.start_workflow(
            user_id=self.user_id, type=type, input=input or {}, **rest
        )
        return started.id

    def cancel(self, workflow_id: UUID, *, undo: bool = True) -> str:
        """Cancel it as its user; the status right afterwards."""
        return control.cancel(caller_of(self.user_id), workflow_id, undo=undo).result

    def claim(self, workflow_id: UUID, key: str, seconds: float = 30.0) -> Claim:
        """Claim a step that can be claimed."""
        claimed = claim_step(workflow_id, key, seconds)
        assert isinstance(claimed, Claim), f"{key} was not claimed: {claimed}"
        return claimed

    def step(self, workflow_id: UUID, key: str) -> dict[str, Any]:
        """The step's row."""
        row = db.row("SELECT * FROM steps WHERE workflow_id = %s AND key = %s", (workflow_id, key))
        assert row is not None
        return row

    def workflow(self, workflow_id: UUID) -> dict[str, Any]:
        """The workflow's row."""
        row = db.row("SELECT * FROM workflows WHERE id = %s", (workflow_id,))
        assert row is not None
        return row

    def events(self, workflow_id: UUID) -> list[dict[str, Any]]:
        """The bodies of the events, in order."""
        rows = db.rows(
            "SELECT body::jsonb AS body FROM events WHERE workflow_id = %s ORDER BY seq",
            (workflow_id,),
        )
        return [row["body"] for row in rows]

    def due(self, workflow_id: UUID, key: str) -> None:
        """Make the step's next copy due now."""
        db.row(
            "UPDATE steps SET publish_after = clock_timestamp()"
            " WHERE workflow_id = %s AND key = %s",
            (workflow_id, key),
        )


def kernel_of_ada() -> Kernel:
    """Register the shipped definitions in the database of the settings, and a user."""
    for body in definitions.ALL:
        catalogue.register(body)
    row = db.row("SELECT create_user_v1('ada@example.com') AS id", ())
    assert row is not None
    return Kernel(row["id"])


@pytest.fixture
def kernel(settings: Settings) -> Kernel:
    """A migrated database with the shipped definitions and one user."""
    return kernel_of_ada()


@pytest.fixture
def agreeing(kernel: Kernel) -> Iterator[None]:
    """When the test is over, chains of events verify and rows are what events say."""
    yield
    assert list(verification.verify()) == []
    assert list(rebuild.differences()) == []


@pytest.fixture
def in_threads() -> Threads:
    """Run functions at the same time, each on a connection of its own; their results in order."""

    def run(functions: Sequence[Callable[[], Any]]) -> list[Any]:
        gate = threading.Barrier(len(functions))

        def one(function: Callable[[], Any]) -> Any:
            try:
                gate.wait(timeout=10)
                return function()
            finally:
                db.release()

        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(one, functions))

    return run


@pytest.fixture
def ada(kernel: Kernel) -> Caller:
    """The owner of the kernel's workflows."""
    return caller_of(kernel.user_id)


@pytest.fixture
def reconciler_was_there(kernel: Kernel) -> None:
    """Its first pass ever gives one lease of grace; here that is over."""
    reconcile()
    db.row("UPDATE reconciler_beat SET grace_until = clock_timestamp()", ())
