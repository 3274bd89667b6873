"""All services of an instance on one machine, and the settings that they share.

All state is in the data folder. Ports and secrets are chosen at the first start and are kept in
that folder.
"""

import hashlib
import json
import shutil
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from ops.laptop.datafolder import DataFolder, open_folder
from ops.laptop.faults import DataUnusable
from ops.laptop.ports import LOOPBACK, Port, answers, are_free, free_port
from ops.laptop.postgres import Postgres
from ops.laptop.scaling.bounds import Workers
from ops.laptop.scaling.readings import Readings
from ops.laptop.scaling.scaler import Kind, Scaler
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor
from ops.laptop.valkey import Valkey

CHECKOUT = Path(__file__).resolve().parents[2]
DATA_FOLDER = CHECKOUT / ".data"
DATABASE = "playalter"
ENVIRONMENT_FILE = "environment.json"
SANDBOX_PORTS = 9  # consecutive: control, the six vendors, Vercel's pages, a service for jobs
SECRETS = (
    *("POSTGRES_PASSWORD", "VALKEY_PASSWORD", "KEY_PEPPER", "LINK_SECRET", "FLOWER_PASSWORD"),
    *("SANDBOX_SEED", "SANDBOX_KEY", "POSTGRES_SUPERUSER_PASSWORD"),
)
# Variables with these prefixes are not inherited from the shell: a real key of a vendor must never
# reach the processes of a demo.
VENDORS = ("STRIPE_", "OPENAI_", "REPLICATE_", "VERCEL_", "AGORA_", "N8N_", "HTTP_SECRETS")

CLI = ("-m", "ops.cli")
WORKERS: dict[str, tuple[str, ...]] = {
    # Most steps wait for a platform: many at once in one process. What `control` does is mostly to
    # compute, so it has a process of its own. Its threads are many so that their writes travel
    # together.
    "worker": ("--without", "control"),
    "worker-control": ("--queues", "control"),
}
"""The kinds of worker, with the options of each."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "sandbox": (
        *("-m", "ops.sandbox", "--base-port", "{port}", "--state", "{data}/sandbox"),
        *("--hook-base", "{url}"),
    ),
    "migrate": (*CLI, "migrate"),
    "web": (*CLI, "web"),
    "reconciler": (*CLI, "reconciler"),
    "hooks": (*CLI, "hooks"),
    "beat": (*CLI, "beat"),
    "flower": (*CLI, "flower"),
}
_ALLOWED = "OUTBOUND_ALLOWED"


@dataclass(frozen=True)
class Ports:
    """The ports of an instance on loopback; 0 means any free port, which the next start reuses."""

    web: int = 8000
    flower: int = 5555
    sandbox: int = 9100
    postgres: int = 0
    valkey: int = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Ports":
        """The default ports, or those in PLAYALTER_WEB_PORT and the other port variables.

        Raises DataUnusable for a value that is not a port.
        """
        given = {f.name: environ.get(setting(f.name)) for f in fields(cls)}
        return cls(**{name: _number(name, value) for name, value in given.items() if value})


def setting(service: str) -> str:
    """The environment variable that sets a service's port."""
    return f"PLAYALTER_{service.upper()}_PORT"


def _number(service: str, value: str) -> int:
    if not value.isdigit() or not 0 < int(value) < 65_536:
        raise DataUnusable(f"{setting(service)} must be a port from 1 to 65535, not {value!r}")
    return int(value)


@dataclass(frozen=True)
class Profile:
    """An instance: its services, and the settings that each of its processes needs."""

    data: DataFolder
    ports: Ports
    secrets: Mapping[str, str]
    inherited: Mapping[str, str]
    overrides: Mapping[str, str] = field(default_factory=dict)
    database: str = DATABASE
    workers: Workers = field(default_factory=Workers)

    def __enter__(self) -> "Profile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address of the web server."""
        return f"http://{LOOPBACK}:{self.ports.web}"

    @property
    def flower_url(self) -> str:
        """Flower's address; the user is playalter, the password secrets["FLOWER_PASSWORD"]."""
        return f"http://{LOOPBACK}:{self.ports.flower}"

    @property
    def sandbox_url(self) -> str:
        """The address of the sandbox's control API."""
        return f"http://{LOOPBACK}:{self.ports.sandbox}"

    @property
    def sandbox_headers(self) -> dict[str, str]:
        """The headers that the sandbox's control API needs."""
        return {"Authorization": f"Bearer {self.secrets['SANDBOX_KEY']}"}

    def close(self) -> None:
        """Unlock the data folder; call this after the supervisor has stopped."""
        self.data.close()

    def supervisor(self) -> Supervisor:
        """A supervisor of all services, not started yet. Stop it before calling Profile.close()."""
        # `keep_open`: if the supervisor is killed, the folder stays locked until all processes have
        # ended.
        return Supervisor(self.services(), keep_open=(self.data.lock,))

    def scaler(self, supervisor: Supervisor) -> Scaler:
        """What starts and ends further workers of `supervisor`, which has started all services."""
        kinds = [
            Kind("worker", partial(self._worker_of, "worker"), self.workers.bounds(0)),
            Kind(
                "worker-control",
                partial(self._worker_of, "worker-control"),
                self.workers.bounds(1),
            ),
        ]
        address = self.postgres().url(self.database).replace("+psycopg2", "", 1)
        return Scaler(supervisor, kinds, Readings(address, self.valkey().url()))

    def _worker_of(self, kind: str, name: str) -> Service:
        # If the machine has no room for one more after all, the first of its kind goes on alone.
        return replace(self.worker(name, *WORKERS[kind]), is_spare=True)

    def postgres(self) -> Postgres:
        """The database server."""
        password = self.secrets["POSTGRES_PASSWORD"]
        return Postgres(
            self.data.path / "postgres",
            self._port("postgres"),
            password,
            superuser_password=self.secrets["POSTGRES_SUPERUSER_PASSWORD"],
            databases=(self.database,),
        )

    def valkey(self) -> Valkey:
        """The broker's server."""
        password = self.secrets["VALKEY_PASSWORD"]
        return Valkey(self.data.path / "valkey", self._port("valkey"), password)

    def services(self) -> list[Service]:
        """All services of the instance."""
        ready_to_work = ("migrate", "postgres", "valkey")
        return [
            self.postgres().service(self.data.log("postgres")),
            self.valkey().service(self.data.log("valkey")),
            self._sandbox(),
            replace(self._command("migrate", "postgres", "sandbox"), one_shot=True),
            replace(
                self._command("web", *ready_to_work),
                ready=self._is_web_ready,
                ports=(self._port("web"),),
            ),
            *(self.worker(name, *options) for name, options in WORKERS.items()),
            self._command("reconciler", *ready_to_work),
            replace(self._command("hooks", "migrate", "postgres"), stop_seconds=20.0),
            self._command("beat", *ready_to_work),
            replace(
                self._command("flower", "valkey", "sandbox"),
                ready=lambda: answers(self.ports.flower),
                ports=(self._port("flower"),),
            ),
        ]

    def worker(self, name: str, *options: str) -> Service:
        """A worker of this name with these options of `playalter worker`."""
        argv = (sys.executable, *CLI, "worker", "--name", name, *options)
        # It stops before the sandbox, so that its running steps can finish.
        depends_on = ("sandbox", "migrate", "postgres", "valkey")
        return replace(self._service(name, argv, *depends_on), stop_seconds=20.0)

    def environment(self) -> dict[str, str]:
        """The environment of each process; raises OSError if the sandbox is not running.

        The settings are also written to environment.json in the data folder, for commands that
        are run in other terminals.
        """
        settings = self._own_settings() | self.vendors() | dict(self.overrides)
        # The vendors' addresses do not take the place of those that the user allows.
        allowed = (self.inherited.get(_ALLOWED), settings.get(_ALLOWED))
        settings[_ALLOWED] = ",".join(filter(None, allowed))
        # No process of the instance needs the sandbox's control API, but a person's commands do.
        own = {"SANDBOX_URL": self.sandbox_url, "SANDBOX_KEY": self.secrets["SANDBOX_KEY"]}
        self.data.write(ENVIRONMENT_FILE, settings | own)
        return self._inherited() | settings

    def vendors(self) -> dict[str, str]:
        """The settings for the sandbox's vendors; raises OSError if the sandbox is not running."""
        described: dict[str, Any] = json.loads(_get(self.sandbox_url + "/", self.sandbox_headers))
        return {name: str(value) for name, value in described["env"].items()}

    def _own_settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres().url(self.database),
            "REDIS_URL": self.valkey().url(),
            "PUBLIC_BASE_URL": self.url,
            "PLAYALTER_URL": self.url,
            "STORAGE_DIR": str(self.data.folder("files")),
            "METRICS_DIR": str(self.data.folder("metrics")),
            "WEB_PORT": str(self.ports.web),
            "FLOWER_PORT": str(self.ports.flower),
            **{name: self.secrets[name] for name in ("KEY_PEPPER", "LINK_SECRET")},
            "FLOWER_PASSWORD": self.secrets["FLOWER_PASSWORD"],
        }

    def _inherited(self) -> dict[str, str]:
        kept = {k: v for k, v in self.inherited.items() if not k.startswith(VENDORS)}
        # Requests to the instance's own servers must not go through a proxy set in the shell.
        direct = {"NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK}
        return kept | direct | {"PYTHONUNBUFFERED": "1"}

    def _command(self, name: str, *depends_on: str) -> Service:
        words = {"port": self.ports.sandbox, "data": self.data.path, "url": self.url}
        argv = (sys.executable, *(part.format(**words) for part in COMMANDS[name]))
        return self._service(name, argv, *depends_on)

    def _service(self, name: str, argv: tuple[str, ...], *depends_on: str) -> Service:
        return Service(
            name=name,
            argv=argv,
            log=self.data.log(name),
            environment=self.environment,
            folder=CHECKOUT,
            depends_on=depends_on,
        )

    def _sandbox(self) -> Service:
        base = self.ports.sandbox
        numbers = range(base, base + SANDBOX_PORTS)
        return replace(
            self._command("sandbox"),
            environment=self._sandbox_environment,
            ready=self._is_sandbox_ready,
            ports=tuple(Port(number, "sandbox", setting("sandbox")) for number in numbers),
        )

    def _sandbox_environment(self) -> dict[str, str]:
        # The sandbox derives its vendors' keys and signing secrets from the seed.
        seed = int(hashlib.sha256(self.secrets["SANDBOX_SEED"].encode()).hexdigest()[:16], 16)
        own = {"SANDBOX_SEED": str(seed), "SANDBOX_KEY": self.secrets["SANDBOX_KEY"]}
        return self._inherited() | own

    def _is_sandbox_ready(self) -> bool:
        try:
            return bool(self.vendors())
        except OSError:
            return False

    def _is_web_ready(self) -> bool:
        try:
            _get(self.url + "/healthz")
        except OSError:
            return False
        return True

    def _port(self, service: str) -> Port:
        return Port(getattr(self.ports, service), service, setting(service))


def _get(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The body of a 200 response of the instance's own server, requested without a proxy.

    Raises OSError for any other response or none.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - loopback
    with direct.open(request, timeout=2) as answer:
        body: bytes = answer.read()
    return body


def open_profile(
    path: Path,
    environ: Mapping[str, str],
    *,
    is_fresh: bool = False,
    ports: Ports | None = None,
    overrides: Mapping[str, str] | None = None,
    database: str = DATABASE,
) -> Profile:
    """Lock an instance's data folder and choose its ports and secrets.

    The caller must close the profile. `is_fresh` empties the folder first. `overrides` replace
    settings with the same names. The clock of a database with `test` in its name can be shifted.
    Raises AlreadyRunning or DataUnusable.
    """
    wanted = ports or Ports.from_environment(environ)
    data = open_folder(path)
    try:
        if is_fresh:
            data.empty()
        # Delete the metrics of earlier processes; otherwise they would be counted forever.
        shutil.rmtree(data.path / "metrics", ignore_errors=True)
        chosen = _choose_ports(data, wanted)
        secrets, workers = data.secrets(SECRETS), Workers.from_environment(environ)
        return Profile(data, chosen, secrets, environ, overrides or {}, database, workers)
    except BaseException:
        data.close()
        raise


def _choose_ports(data: DataFolder, wanted: Ports) -> Ports:
    """Replace each 0 by the port of the last start, or by a free port if that port is in use."""
    kept = data.read("ports.json")
    numbers = {f.name: getattr(wanted, f.name) for f in fields(wanted)}
    for name in [name for name, number in numbers.items() if number == 0]:
        last, count = int(kept.get(name, "0")), SANDBOX_PORTS if name == "sandbox" else 1
        is_usable = last and are_free(last, count)
        numbers[name] = last if is_usable else free_port(count)
    data.write("ports.json", {name: str(number) for name, number in numbers.items()})
    return Ports(**numbers)
