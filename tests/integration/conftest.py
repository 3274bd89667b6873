"""The kernel on a database of the test's own: settings, registered definitions, a user."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url

from app import db
from app.broker.celery import celery_app
from app.protocol.claims import Claim, claim_step
from app.protocol.outcomes import Attempt
from app.record import verification
from app.settings import Settings, current
from chains import definitions
from chains.catalogue import versions
from chains.commands.cancel import cancel
from chains.commands.command import Caller, caller_of
from chains.repair import rebuild
from chains.repair.reconcile import reconcile
from chains.starting.start import start_workflow
from ops.laptop.postgres import Postgres
from tests.databases import Clones
from tests.forgetting import forget

NOTHING = Attempt(None, 0, [])
Threads = Callable[[Sequence[Callable[[], Any]]], list[Any]]


NO_VALKEY = "redis://127.0.0.1:1/0"


def environment(database_url: str, redis_url: str, folder: Path) -> dict[str, str]:
    """The variables of this ring's settings."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STORAGE_DIR": str(folder / "files"),
        "KEY_PEPPER": "the pepper of tests",
        "LINK_SECRET": "the secret of the links of tests",
        "LEASE_SECONDS": "1",
    }


@pytest.fixture(scope="session")
def furnished_clones(
    postgres_server: Postgres, clones: Clones, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clones]:
    """Databases with the shipped definitions and a user, one for each test that asks."""
    folder = tmp_path_factory.mktemp("furnishing")
    with clones.one() as address:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environment(address, NO_VALKEY, folder).items():
                patched.setenv(name, value)
            forget()
            furnish()
            forget()
        template = make_url(address).database
        assert template is not None
        with contextlib.closing(Clones(postgres_server, template)) as made:
            yield made


@pytest.fixture
def furnished_database(furnished_clones: Clones) -> Iterator[str]:
    """A database of this test's own, with the shipped definitions and a user."""
    with furnished_clones.one() as address:
        yield address


@pytest.fixture
def settings(
    furnished_database: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """This process's settings, on a database of this test's own and an empty Valkey."""
    for name, value in environment(furnished_database, valkey_url, tmp_path).items():
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
        versions.register({"name": name, "do": node, **rest}, activates=True)
        return name

    def start(self, type: str, input: dict[str, Any] | None = None, **rest: Any) -> UUID:
        """Start a workflow of the type."""
        started = start_workflow(user_id=self.user_id, type=type, input=input or {}, **rest)
        return started.id

    def cancel(self, workflow_id: UUID, *, undo: bool = True) -> str:
        """Cancel it as its user; the status right afterwards."""
        return cancel(caller_of(self.user_id), workflow_id, undo=undo).result

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


def deadlocks() -> int:
    """How many deadlocks PostgreSQL has broken in the database of the settings."""
    row = db.row("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", ())
    assert row is not None
    return int(row["deadlocks"])


def furnish() -> None:
    """Register the shipped definitions in the database of the settings, and a user."""
    for body in definitions.ALL:
        versions.register(body)
    db.row("SELECT create_user_v1('ada@example.com')", ())


def kernel_of_ada() -> Kernel:
    """The kernel on the furnished database of the settings."""
    row = db.row("SELECT id FROM users WHERE email = 'ada@example.com'", ())
    assert row is not None
    return Kernel(row["id"])


@pytest.fixture
def kernel(settings: Settings) -> Kernel:
    """A database with the shipped definitions and one user."""
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
