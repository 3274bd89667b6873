"""The supervisor with real processes: order, restarts, failures, and no process left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ops.laptop.faults import PortTaken, ServiceFailed
from ops.laptop.ports import Port, free_port, is_free
from ops.laptop.service import Service, State
from ops.laptop.supervisor import Supervisor
from tests.processes import children, command, is_alive

CHECKOUT = Path(__file__).resolve().parents[3]
SLEEPER = "import time; time.sleep(300)"
# Ignores SIGTERM and has a child in its group.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(child.pid, flush=True)
time.sleep(300)
"""


def _service(folder: Path, name: str, program: str, **more: object) -> Service:
    defaults: dict[str, object] = {
        "name": name,
        "argv": (sys.executable, "-u", "-c", program),
        "log": folder / f"{name}.log",
        "environment": lambda: {"PATH": os.defpath},
        "folder": folder,
        "stop_seconds": 2.0,
    }
    return Service(**(defaults | more))  # type: ignore[arg-type]  # a table of overrides


def _wait(is_done: Callable[[], bool], seconds: float = 15.0) -> bool:
    until = time.monotonic() + seconds
    while not is_done() and time.monotonic() < until:
        time.sleep(0.02)
    return is_done()


def _pids(supervisor: Supervisor) -> dict[str, int]:
    return {status.name: status.pid for status in supervisor.status() if status.pid}


def _is_another(supervisor: Supervisor, name: str, than: int) -> bool:
    return _pids(supervisor).get(name, than) != than


def _printed_pids(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def test_service_starts_only_when_what_it_depends_on_is_ready(tmp_path: Path) -> None:
    made = tmp_path / "made"
    first = _service(
        tmp_path,
        "first",
        f"import time; time.sleep(.3); open({str(made)!r}, 'w'); time.sleep(300)",
        ready=made.exists,
    )
    once = _service(
        tmp_path, "once", f"open({str(made)!r}).close()", one_shot=True, depends_on=("first",)
    )
    with Supervisor([once, first]) as supervisor:
        states = {status.name: status.state for status in supervisor.status()}
    assert states == {"first": State.READY, "once": State.DONE}


def test_killed_service_is_restarted_and_its_orphans_are_ended(tmp_path: Path) -> None:
    log = tmp_path / "stubborn.log"
    service = _service(tmp_path, "stubborn", STUBBORN, ready=lambda: bool(_printed_pids(log)))
    with Supervisor([service]) as supervisor:
        before = _pids(supervisor)["stubborn"]
        orphan = _printed_pids(log)[0]
        os.kill(before, signal.SIGKILL)
        assert _wait(lambda: len(_printed_pids(log)) == 2)
        assert not is_alive(orphan)
        assert _pids(supervisor)["stubborn"] != before
        assert supervisor.status()[0].restarts == 1


def test_service_that_a_test_kills_again_and_again_is_not_given_up(tmp_path: Path) -> None:
    with Supervisor([_service(tmp_path, "worker", SLEEPER)]) as supervisor:
        for kills in range(1, 8):
            before = _pids(supervisor)["worker"]
            supervisor.kill("worker")
            assert _wait(partial(_is_another, supervisor, "worker", before))
            assert supervisor.status()[0].restarts == kills
        assert supervisor.failure is None


def test_service_that_keeps_dying_is_given_up_with_its_name_and_last_words(tmp_path: Path) -> None:
    program = "print('no such table'); raise SystemExit(3)"
    service = _service(tmp_path, "web", program, ready=lambda: False)
    with pytest.raises(ServiceFailed, match=r"web ended with exit code 3\n(.*\n)*  no such table"):
        Supervisor([service]).start()
    assert (tmp_path / "web.log").read_text().count("no such table") == 5


def test_service_that_dies_after_the_start_is_given_up_loudly(tmp_path: Path) -> None:
    service = _service(tmp_path, "beat", "import time; time.sleep(.1); raise SystemExit(4)")
    with Supervisor([service]) as supervisor:
        assert _wait(lambda: supervisor.failure is not None)
        assert "beat ended with exit code 4" in str(supervisor.failure)
        assert supervisor.status()[0].state is State.FAILED


def test_failing_one_shot_is_not_tried_again_and_stops_what_ran(tmp_path: Path) -> None:
    supervisor = Supervisor(
        [
            _service(tmp_path, "server", SLEEPER),
            _service(
                tmp_path,
                "migrate",
                "raise SystemExit('bad revision')",
                one_shot=True,
                depends_on=("server",),
            ),
        ]
    )
    with pytest.raises(ServiceFailed, match="bad revision"):
        supervisor.start()
    assert (tmp_path / "migrate.log").read_text().count("bad revision") == 1
    assert _pids(supervisor) == {}


def test_service_that_is_not_ready_in_time_is_named(tmp_path: Path) -> None:
    service = _service(tmp_path, "web", SLEEPER, ready=lambda: False, ready_seconds=0.1)
    with pytest.raises(ServiceFailed, match=r"web not ready after 0\.1 s"):
        Supervisor([service]).start()


def test_taken_port_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        web = _service(tmp_path, "web", SLEEPER, ports=(Port(number, "web", "PLAYALTER_WEB_PORT"),))
        supervisor = Supervisor([_service(tmp_path, "server", SLEEPER), web])
        message = rf"port {number} \(web, PLAYALTER_WEB_PORT\) is used by another program"
        with pytest.raises(PortTaken, match=message):
            supervisor.start()
    assert not (tmp_path / "server.log").exists()
    assert _pids(supervisor) == {}


def test_port_of_a_closed_server_counts_as_free() -> None:
    number = free_port()
    with socket.create_server(("127.0.0.1", number)) as server:
        assert not is_free(number)
        with socket.create_connection(("127.0.0.1", number)), server.accept()[0]:
            pass
    assert is_free(number)


def test_stop_ends_dependents_first_and_kills_who_ignores_it(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    ends = tmp_path / "ends"
    server = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *a: (open({str(ends)!r}, 'w').write("
        f"str(time.time())), sys.exit()))\nprint('up')\ntime.sleep(300)"
    )
    server_log = tmp_path / "server.log"
    services = [
        _service(tmp_path, "server", server, ready=lambda: "up" in server_log.read_text()),
        _service(
            tmp_path,
            "worker",
            STUBBORN,
            ready=lambda: bool(_printed_pids(log)),
            depends_on=("server",),
            stop_seconds=0.5,
        ),
    ]
    with Supervisor(services) as supervisor:
        pids = [*_pids(supervisor).values(), *_printed_pids(log)]
        assert len(pids) == 3
        assert all(is_alive(pid) for pid in pids)
        begin = time.time()
    assert float(ends.read_text()) - begin >= 0.5
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name
)
def test_nothing_is_left_when_the_supervisor_gets(number: signal.Signals, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    program = f"""
import os, signal, sys, time
from functools import partial
from pathlib import Path
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor, signals_as_exit
# As in a terminal: a program started in the background ignores SIGINT, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
log = Path({str(log)!r})
service = Service("worker", (sys.executable, "-c", {STUBBORN!r}), log, lambda: {{}}, Path("."),
                  ready=lambda: bool(log.read_text()), stop_seconds=0.5)
with signals_as_exit(), Supervisor([service]) as supervisor:
    print(supervisor.status()[0].pid, flush=True)
    time.sleep(300)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pids = [int(owner.stdout.readline()), *_printed_pids(log)]
        assert len(pids) == 2
        owner.send_signal(number)
        owner.wait(timeout=10)
    assert _wait(lambda: not any(is_alive(pid) for pid in pids))


def test_killed_guard_is_replaced(tmp_path: Path) -> None:
    before = _guards()
    with Supervisor([_service(tmp_path, "worker", SLEEPER)]):
        (guard,) = _guards() - before
        os.kill(guard, signal.SIGKILL)
        assert _wait(lambda: bool(_guards() - before - {guard}))


def _guards() -> set[int]:
    """Guards started by this process, by any of its threads."""
    return {pid for pid in children() if b"guard.py" in command(pid)}


# Ends its work of half a second when it is asked to.
WORKING = """
import signal, sys, time
def end(*_):
    time.sleep(0.5)
    print("has ended its work", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, end)
print("works", flush=True)
time.sleep(300)
"""


def test_a_service_that_is_added_ends_its_work_before_it_is_forgotten(tmp_path: Path) -> None:
    with Supervisor([_service(tmp_path, "worker", SLEEPER)]) as supervisor:
        added = _service(tmp_path, "worker-2", WORKING)
        supervisor.add(added)
        assert _wait(lambda: added.log.exists() and "works" in added.log.read_text())
        supervisor.retire("worker-2")
        retiring = {status.name: status.state for status in supervisor.status()}
        assert retiring["worker-2"] is State.RETIRING
        assert _wait(lambda: "worker-2" not in _pids(supervisor))
        assert [status.name for status in supervisor.status()] == ["worker"]
        assert added.log.read_text() == "works\nhas ended its work\n"
        assert supervisor.failure is None


def test_a_spare_service_that_cannot_be_kept_alive_stops_no_other(tmp_path: Path) -> None:
    hanging = {"ready": lambda: False, "ready_seconds": 0.1}
    with Supervisor([_service(tmp_path, "worker", SLEEPER)]) as supervisor:
        first = _pids(supervisor)
        supervisor.add(_service(tmp_path, "worker-2", SLEEPER, is_spare=True, **hanging))
        assert _wait(lambda: (tmp_path / "worker-2.log").exists())
        assert _wait(lambda: len(supervisor.status()) == 1)
        assert supervisor.failure is None
        assert _pids(supervisor) == first


def test_a_retired_service_that_never_ends_is_stopped(tmp_path: Path) -> None:
    deaf = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {SLEEPER}"
    service = _service(tmp_path, "worker-2", deaf, retire_seconds=0.3, stop_seconds=0.3)
    stubborn = _service(
        tmp_path,
        "worker-3",
        f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{STUBBORN}",
        retire_seconds=0.3,
        stop_seconds=0.3,
    )
    with Supervisor([service, stubborn]) as supervisor:
        assert _wait(lambda: bool(stubborn.log.read_text()))
        (child,) = map(int, stubborn.log.read_text().split())
        supervisor.retire("worker-2")
        supervisor.retire("worker-3")
        assert _wait(lambda: not supervisor.status())
        assert _wait(lambda: not is_alive(child))
