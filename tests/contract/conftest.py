"""The sandbox, the settings that point at it, and steps on a database of their own."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

import tasks
from app.identity import keys
from app.platform import Json
from app.settings import Settings, current
from tests import leaks
from tests.canaries import WATCHED
from tests.contract.stage import Step, claimed_step
from tests.contract.vendors import Vendors, running
from tests.forgetting import forget
from tests.integration.conftest import Kernel, kernel_of_ada

OURS = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "KEY_PEPPER": "the pepper of tests",
    "LINK_SECRET": "the secret of the links of tests",
    "PUBLIC_BASE_URL": "http://127.0.0.1:1",
    "WEB_LIST_SECONDS": "0",
    "OPENAI_WEBHOOK_SECRET": "whsec_b3BlbmFpIHdlYmhvb2tzIHNlY3JldA==",
}
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
WATCHED.watch_settings(OURS)


@pytest.fixture(scope="package", autouse=True)
def servers_write_no_secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """When the ring is over, no server's log holds a secret or a card number."""
    yield
    leaks.in_files(WATCHED, tmp_path_factory.getbasetemp(), "postgres*/*.log", "valkey*/*.log")


@pytest.fixture(autouse=True)
def nothing_leaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After each test, no command line and no file of ours holds a secret or a card number.

    The root conftest.py searches the database, Valkey, and the log, which here has everything
    that an operator can turn on.
    """
    caplog.set_level(logging.DEBUG)
    yield
    leaks.in_processes(WATCHED)
    leaks.in_files(WATCHED, tmp_path / "files")


@pytest.fixture(scope="package")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    """One sandbox for the session; the SDKs are imported, as in a worker."""
    for platform in tasks.PLATFORMS:
        if platform.warm is not None:
            platform.warm()
    with running(tmp_path_factory.mktemp("sandbox")) as vendors:
        yield vendors


@pytest.fixture
def vendors(sandbox: Vendors) -> Vendors:
    """The sandbox with empty books, whose predictions and deployments are soon done, and with the
    models that OpenAI had when these tests were written."""
    sandbox.reset(
        replicate__duration_seconds=0.3, vercel__build_seconds=0.3, openai__models_on="2026-12-01"
    )
    return sandbox


@pytest.fixture
def configure(
    vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Settings]]:
    """Set the environment for this test, with changes; gives the settings."""

    def configure(**changes: str) -> Settings:
        values = {
            **vendors.env,
            **OURS,
            "DATABASE_URL": NO_DATABASE,
            "STORAGE_DIR": str(tmp_path / "files"),
        }
        for name, value in {**values, **changes}.items():
            monkeypatch.setenv(name, value)
        forget()
        return current()

    yield configure
    forget()


@pytest.fixture
def settings(configure: Callable[..., Settings]) -> Settings:
    """Settings that point at the sandbox, without a database."""
    return configure()


@pytest.fixture
def kernel(configure: Callable[..., Settings], fresh_database: str, valkey_url: str) -> Kernel:
    """A user's whole workflows, over the sandbox."""
    configure(DATABASE_URL=fresh_database, REDIS_URL=valkey_url)
    keys.create_key("ada@example.com")
    return kernel_of_ada()


@pytest.fixture
def step(configure: Callable[..., Settings], fresh_database: str) -> Callable[..., Step]:
    """Claim a step of the given action and input, on a database of this test's own."""
    configure(DATABASE_URL=fresh_database)
    user_id, _ = keys.create_key("ada@example.com")

    def step(
        action: str, given: Json, user: UUID = user_id, forked_from: UUID | None = None
    ) -> Step:
        return claimed_step(user, action, given, forked_from)

    return step
