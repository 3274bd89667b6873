"""`playalter migrate` as a person meets it: databases of other versions, and starting anew."""

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from app import db
from app.settings import Settings
from ops.laptop.profile import Ports, open_profile
from ops.laptop.supervisor import Supervisor
from tests.integration.conftest import Kernel

CHECKOUT = Path(__file__).resolve().parents[3]
SENTENCE = "this database was made by another pre-release version and cannot be upgraded"


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """`playalter` with these arguments, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def of_the_code_before() -> None:
    """Make the database look like one that the migrations before the baseline have made."""
    db.row("DROP TABLE schema_baseline", ())
    db.row("UPDATE alembic_version SET version_num = '0011'", ())


def of_yesterday() -> None:
    """Make the database look like one of another text of the baseline."""
    db.row("UPDATE schema_baseline SET checksum = 'another'", ())


def test_a_database_of_another_version_is_refused_in_one_sentence(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    of_the_code_before()
    ended = command("migrate")
    assert ended.returncode == 1
    assert SENTENCE in ended.stderr
    assert "`playalter migrate --fresh`" in ended.stderr
    assert "`ops/demo --fresh`" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert kernel.workflow(workflow)["status"] == "running"


def test_a_database_of_another_text_of_the_baseline_is_refused_and_of_this_one_kept(
    kernel: Kernel, settings: Settings
) -> None:
    workflow = kernel.start("noop_chain")
    db.migrate(settings.database_url)
    assert kernel.workflow(workflow)["status"] == "running"
    of_yesterday()
    with pytest.raises(db.OtherBaseline, match=SENTENCE):
        db.migrate(settings.database_url)
    assert kernel.workflow(workflow)["status"] == "running"


def test_fresh_without_a_terminal_needs_a_yes(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    ended = command("migrate", "--fresh")
    assert ended.returncode == 2
    assert "--yes" in ended.stderr
    assert kernel.workflow(workflow)["status"] == "running"


def test_fresh_deletes_all_that_the_code_before_has_made(kernel: Kernel) -> None:
    kernel.start("noop_chain")
    of_the_code_before()
    db.row("CREATE TABLE left_over (id integer GENERATED ALWAYS AS IDENTITY)", ())
    db.row("CREATE FUNCTION retired_v1() RETURNS integer LANGUAGE sql AS 'SELECT 1'", ())
    ended = command("migrate", "--fresh", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert "noop_chain version 1" in ended.stdout
    left = "SELECT to_regclass('left_over') AS a, to_regproc('retired_v1') AS b"
    assert db.row(left, ()) == {"a": None, "b": None}
    assert db.row("SELECT count(*) AS n FROM workflows", ()) == {"n": 0}


def test_on_a_terminal_fresh_asks_and_a_no_changes_nothing(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    code, said = answered("n\n")
    assert code == 1
    assert "Delete everything in database test_" in said
    assert "nothing was changed" in said
    assert kernel.workflow(workflow)["status"] == "running"


def test_on_a_terminal_fresh_asks_and_a_yes_starts_anew(kernel: Kernel, settings: Settings) -> None:
    kernel.start("noop_chain")
    of_yesterday()
    code, said = answered("y\n")
    assert code == 0, said
    assert db.row("SELECT count(*) AS n FROM workflows", ()) == {"n": 0}
    db.migrate(settings.database_url)


def answered(answer: str) -> tuple[int, str]:
    """`migrate --fresh` on a terminal on which a person types the answer: (code, what it said)."""
    ours, theirs = pty.openpty()
    try:
        argv = [sys.executable, "-m", "ops.cli", "migrate", "--fresh"]
        with subprocess.Popen(
            argv, cwd=CHECKOUT, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as running:
            os.write(ours, answer.encode())
            said, _ = running.communicate(timeout=60)
        return running.returncode, said.decode()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a demo whose database was made by the code before the baseline."""
    folder = tmp_path / "data"
    ports = Ports(web=0, flower=0, sandbox=0, postgres=0, valkey=0)
    with open_profile(folder, os.environ, ports=ports) as profile:
        server = profile.postgres()
        with Supervisor([server.service(profile.data.log("postgres"))]):
            address = db.dsn(server.url(profile.database))
            with contextlib.closing(psycopg2.connect(address)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("CREATE TABLE alembic_version (version_num varchar(32))")
                    cursor.execute("INSERT INTO alembic_version VALUES ('0011')")
        log = profile.data.log("migrate")
        log.write_text("words of an earlier run\n")
    return folder


def test_a_demo_on_a_database_of_another_version_says_so_and_ends(
    data: Path, settings: Settings
) -> None:
    ports = ("--web-port", "0", "--flower-port", "0", "--sandbox-port", "0")
    ended = command("demo", "--once", "--data", str(data), *ports)
    assert ended.returncode == 1
    assert "playalter: migrate ended with exit code 1" in ended.stderr
    assert SENTENCE in ended.stderr
    assert "words of an earlier run" not in ended.stderr
    log = (data / "logs" / "migrate.log").read_text()
    assert log.count(SENTENCE) == 1, "it is not tried again"
