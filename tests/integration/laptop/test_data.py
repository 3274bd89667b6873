"""The data folder and the profile: one instance, kept secrets, settings that never leak."""

import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app import settings
from ops.laptop.datafolder import open_folder, read_values
from ops.laptop.faults import AlreadyRunning, DataUnusable
from ops.laptop.profile import Ports, open_profile
from ops.laptop.supervisor import Supervisor
from ops.sandbox.serve import PORTS
from tests.processes import is_alive

CHECKOUT = Path(__file__).resolve().parents[3]
SLOW_TO_END = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit()))
print("ready", flush=True)
time.sleep(300)
"""


def test_second_instance_on_a_folder_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    first = open_folder(tmp_path / "data")
    with pytest.raises(AlreadyRunning, match=rf"\(process {os.getpid()}\)"):
        open_folder(tmp_path / "data")
    first.close()
    open_folder(tmp_path / "data").close()


def test_start_waits_for_the_clean_up_after_a_killed_instance(tmp_path: Path) -> None:
    path = tmp_path / "data"
    open_folder(path).close()
    (path / "lock").write_text("4194305\n")  # above every process number
    lock = os.open(path / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    timer = threading.Timer(0.5, os.close, (lock,))
    timer.start()
    begin = time.monotonic()
    open_folder(path).close()
    timer.join()
    assert time.monotonic() - begin > 0.4
    assert (path / "lock").read_text() == f"{os.getpid()}\n"


def test_folder_of_a_killed_instance_opens_when_its_processes_have_ended(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from ops.laptop.datafolder import open_folder
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor
data = open_folder(Path({str(tmp_path)!r}))
argv = (sys.executable, "-c", {SLOW_TO_END!r})
log = data.log("worker")
worker = Service("worker", argv, log, lambda: {{}}, data.path, ready=lambda: bool(log.read_text()))
with Supervisor([worker], keep_open=[data.lock]) as supervisor:
    print(supervisor.status()[0].pid, flush=True)
    time.sleep(300)
"""
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        owner.kill()
    assert Path(f"/proc/{worker}").exists()
    open_folder(tmp_path).close()
    assert not is_alive(worker)


def test_secrets_are_random_kept_and_for_the_owner_only(tmp_path: Path) -> None:
    first = open_profile(tmp_path / "data", {})
    first.close()
    second = open_profile(tmp_path / "data", {})
    second.close()
    other = open_profile(tmp_path / "other", {})
    other.close()
    assert first.secrets == second.secrets
    assert not set(first.secrets.values()) & set(other.secrets.values())
    assert stat.S_IMODE((tmp_path / "data" / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_fresh_empties_the_folder_and_makes_new_secrets(tmp_path: Path) -> None:
    path = tmp_path / "data"
    first = open_profile(path, {})
    (first.data.folder("files") / "picture.png").write_bytes(b"old")
    first.close()
    second = open_profile(path, {}, is_fresh=True)
    second.close()
    assert not (path / "files" / "picture.png").exists()
    assert first.secrets != second.secrets


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataUnusable, match=r"file/data cannot be written: Not a directory"):
        open_profile(tmp_path / "file" / "data", {})


def test_damaged_secrets_are_named_and_the_lock_is_let_go(tmp_path: Path) -> None:
    open_profile(tmp_path, {}).close()
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(DataUnusable, match=r"secrets\.json is damaged"):
        open_profile(tmp_path, {})
    open_profile(tmp_path, {}, is_fresh=True).close()


def test_ports_of_the_servers_are_kept_until_somebody_takes_one(tmp_path: Path) -> None:
    first = open_profile(tmp_path, {})
    first.close()
    second = open_profile(tmp_path, {})
    second.close()
    assert first.ports == second.ports
    with socket.create_server(("127.0.0.1", second.ports.postgres)):
        third = open_profile(tmp_path, {})
        third.close()
    assert third.ports.postgres != second.ports.postgres
    assert third.ports.valkey == second.ports.valkey


@pytest.mark.parametrize("value", ["http", "0", "70000", "-1"])
def test_port_setting_that_is_no_port_is_named(value: str) -> None:
    with pytest.raises(DataUnusable, match=r"PLAYALTER_WEB_PORT must be a port from 1 to 65535"):
        Ports.from_environment({"PLAYALTER_WEB_PORT": value})


def test_processes_get_the_sandboxs_vendors_and_never_the_shells_keys(tmp_path: Path) -> None:
    shell = {"PATH": os.environ["PATH"], "STRIPE_API_KEY": "sk_live_1", "OPENAI_ORG_ID": "org-1"}
    ports = Ports(web=0, flower=0, sandbox=0)
    profile = open_profile(tmp_path, shell, ports=ports, overrides={"LEASE_SECONDS": "2"})
    sandbox = [service for service in profile.services() if service.name == "sandbox"]
    with Supervisor(sandbox):
        environment = profile.environment()
    profile.close()
    first = profile.ports.sandbox
    assert environment["STRIPE_BASE_URL"] == f"http://127.0.0.1:{first + 1}"
    assert environment["STRIPE_API_KEY"].startswith("sk_test_")
    assert "OPENAI_ORG_ID" not in environment
    assert environment["LEASE_SECONDS"] == "2"
    written = read_values(tmp_path / "environment.json")
    # A person's commands reach the sandbox's control API; no process of the instance needs to.
    own = {name: written.pop(name) for name in ("SANDBOX_URL", "SANDBOX_KEY")}
    assert own == {
        "SANDBOX_URL": profile.sandbox_url,
        "SANDBOX_KEY": profile.secrets["SANDBOX_KEY"],
    }
    assert written.items() <= environment.items()
    assert settings.load(settings.Settings, environment).web_port == profile.ports.web


def test_every_port_of_the_sandbox_is_checked_before_a_start(tmp_path: Path) -> None:
    profile = open_profile(tmp_path, {}, ports=Ports(web=0, flower=0, sandbox=0))
    profile.close()
    (sandbox,) = [service for service in profile.services() if service.name == "sandbox"]
    assert [port.number - profile.ports.sandbox for port in sandbox.ports] == [*range(len(PORTS))]


def test_values_are_replaced_whole(tmp_path: Path) -> None:
    data = open_folder(tmp_path)
    data.write("values.json", {"a": "1"})
    data.write("values.json", {"b": "2"})
    data.close()
    assert read_values(tmp_path / "values.json") == {"b": "2"}
    assert read_values(tmp_path / "absent.json") == {}
