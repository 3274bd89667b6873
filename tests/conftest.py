"""Real servers: one PostgreSQL and one Valkey per session, a database of its own per test.

Databases are clones of a template that is migrated once (databases.py); every name contains `test`.
"""

import contextlib
import itertools
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import psycopg2
import pytest
import redis
import structlog
from xdist.scheduler.loadscope import (  # type: ignore[import-untyped] # it says none
    LoadScopeScheduling,
)

from app import db, telemetry
from ops.laptop.ports import Port, free_port
from ops.laptop.postgres import USER, Postgres
from ops.laptop.supervisor import Supervisor
from ops.laptop.valkey import DATABASES, Valkey
from tests import leaks
from tests.canaries import WATCHED
from tests.databases import Clones, folder_in_memory

PASSWORD = uuid.uuid4().hex
SUPERUSER_PASSWORD = uuid.uuid4().hex
WATCHED.watch("the database's and Valkey's password", PASSWORD)
WATCHED.watch("the superuser's password", SUPERUSER_PASSWORD)
TEMPLATE = "template_playalter"
HERE = Path(__file__).parent
SEARCHED = HERE / "contract"
"""The ring whose databases and Valkeys are searched for canaries after each test."""
RINGS = [
    Path("chaos/test_short_run.py"),
    Path("sandbox"),
    Path("e2e/kills"),
    Path("contract"),
    Path("e2e/calm"),
]
# Without this, structlog draws tracebacks with rich and all local variables: a second or two each.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        telemetry._mask_line,  # as in production
    ]
)
_numbers = itertools.cycle(range(1, DATABASES))


def pytest_addoption(parser: pytest.Parser) -> None:
    """--durable: run PostgreSQL with fsync on, as benchmarks and crash tests must.

    --long: run the tests marked `long`, and no others.
    """
    parser.addoption("--durable", action="store_true", help="run PostgreSQL with fsync on")
    parser.addoption("--long", action="store_true", help="run only the tests marked long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the rings that take longest begin first, else one process would wait for the other.

    The chaos run keeps the machine busy, so one process does it before the kills, and the other
    what is light before the calm campaigns: the two instances then run side by side.
    """
    _leave_out(config, items)
    items.sort(key=lambda item: _ring(item.path.relative_to(HERE)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the test after which a secret or a card number stands where none may stand."""
    report = yield
    if call.when == "teardown":
        for name, text in report.sections:
            WATCHED.search(f"what the test has written ({name})", text)
        found = WATCHED.taken()
        if found and report.outcome == "passed":
            report.outcome, report.longrepr = "failed", "\n".join(found)
    return report


class ByGroup(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist's own has no types
    """Gives each process whole groups: what shares an instance, a platform's tests, else a file.

    `--dist=loadgroup` with marks would not: pytest-xdist 3.8 writes the groups where pytest 9.2
    does not read them, and each test then goes to any process.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0]).relative_to(HERE.name)
        ring = _ring(path)
        if path.parts[0] == "contract":
            return "/".join(path.parts[:2])
        return str(path if ring == len(RINGS) else RINGS[ring])


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByGroup:
    """Divide the tests among processes by groups, whatever --dist says."""
    return ByGroup(config, log)


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the long tests or the others, as was asked for."""
    is_long = bool(config.getoption("--long"))
    left_out = [item for item in items if bool(item.get_closest_marker("long")) != is_long]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _ring(path: Path) -> int:
    return next((n for n, ring in enumerate(RINGS) if path.is_relative_to(ring)), len(RINGS))


@pytest.fixture(scope="session")
def postgres_server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Postgres]:
    """A PostgreSQL of this session; --durable gives it fsync, and a disk."""
    is_durable = bool(request.config.getoption("--durable"))
    logs = tmp_path_factory.mktemp("postgres")
    with contextlib.nullcontext(logs) if is_durable else folder_in_memory(logs) as folder:
        port = Port(free_port(), "postgres", "none")
        server = Postgres(
            folder / "data",
            port,
            PASSWORD,
            superuser_password=SUPERUSER_PASSWORD,
            databases=(TEMPLATE,),
            is_durable=is_durable,
        )
        with Supervisor([server.service(logs / "postgres.log")]):
            _let_tests_prepare(server)
            yield server


def _let_tests_prepare(server: Postgres) -> None:
    """Let the tests' role make databases, and copy rows without their triggers."""
    with contextlib.closing(psycopg2.connect(db.dsn(server.superuser_url("postgres")))) as made:
        made.autocommit = True
        with made.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {USER} CREATEDB")
            cursor.execute(f"GRANT SET ON PARAMETER session_replication_role TO {USER}")


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey of this session."""
    folder: Path = tmp_path_factory.mktemp("valkey")
    server = Valkey(folder, Port(free_port(), "valkey", "none"), PASSWORD)
    with Supervisor([server.service(folder / "valkey.log")]):
        yield server


@pytest.fixture(scope="session")
def template_database(postgres_server: Postgres) -> str:
    """The name of a migrated database that nobody is connected to."""
    db.migrate(postgres_server.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def clones(postgres_server: Postgres, template_database: str) -> Iterator[Clones]:
    """Migrated, empty databases, one for each test that asks."""
    with contextlib.closing(Clones(postgres_server, template_database)) as made:
        yield made


@pytest.fixture
def fresh_database(clones: Clones, request: pytest.FixtureRequest) -> Iterator[str]:
    """The SQLAlchemy address of a migrated, empty database of this test's own."""
    with clones.one() as address:
        yield address
        if request.path.is_relative_to(SEARCHED):
            leaks.in_database(WATCHED, address)


@pytest.fixture
def valkey_url(valkey_server: Valkey, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty Valkey database, another one than the last tests had."""
    url = valkey_server.url(next(_numbers))
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        client.flushdb()
    yield url
    if request.path.is_relative_to(SEARCHED):
        leaks.in_valkey(WATCHED, url)
