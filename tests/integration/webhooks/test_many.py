"""10,000 deliveries to 200 endpoints, of which 20 are dead and 20 slow, with a sender killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.settings import Settings
from chains.webhooks import endpoints
from chains.webhooks.endpoints import Wanted
from ops.laptop.ports import free_port
from tests.forgetting import forget
from tests.integration.webhooks.conftest import pass_time
from tests.integration.webhooks.receiver import Answer, Receiver

CHECKOUT = Path(__file__).resolve().parents[3]
USERS, OF_EACH = 40, 5
MESSAGES = 2_000
A_SECOND = 20
"""Messages; each is five deliveries."""
SLOW = Answer(seconds=2.0)
BOUND_SECONDS = 5.0
PRIVATE = (
    *("127.0.0.1", "[::1]", "10.0.0.5", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "192.0.0.8", "224.0.0.1", "[fec0::1]", "[fd00::1]", "[::ffff:10.0.0.1]"),
    *("[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "localhost", "0.0.0.0", "240.0.0.1"),
)


class Sending:
    """`playalter hooks` in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, list[subprocess.Popen[bytes]]()

    def begin(self) -> None:
        """Start one more."""
        with (self._folder / "hooks.log").open("ab") as log:
            command = [sys.executable, "-m", "ops.cli", "hooks"]
            made = subprocess.Popen(command, cwd=CHECKOUT, env=os.environ, stdout=log, stderr=log)
        self._running.append(made)

    def await_ready(self) -> None:
        """Wait until all of them look for messages."""
        ends = time.monotonic() + 60
        log = self._folder / "hooks.log"
        while log.read_text().count("hooks.started") < len(self._running):
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the one that was started first."""
        first = self._running.pop(0)
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=10)

    def end(self) -> None:
        """End all of them."""
        for each in self._running:
            each.terminate()
        for each in self._running:
            each.wait(timeout=30)


@pytest.fixture
def private(settings: Settings) -> Iterator[tuple[int, list[str]]]:
    """A port of loopback that is not allowed, and the connections that a server there has got."""
    got: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    made, _ = listening.accept()
                    got.append("connected")
                    made.close()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1], got
        listening.shutdown(socket.SHUT_RDWR)


def made_users() -> list[UUID]:
    rows = db.rows(
        "SELECT create_user_v1('user' || n || '@example.com') AS id FROM generate_series(1, %s) n",
        (USERS,),
    )
    return [row["id"] for row in rows]


def tell_all(users: list[UUID], sending: Sending) -> None:
    """Make the messages at their rate, and let a sender be killed half-way."""
    began = time.monotonic()
    for number in range(MESSAGES):
        pause = began + number / A_SECOND - time.monotonic()
        time.sleep(max(0.0, pause))
        db.row(
            "SELECT tell_endpoints_v1(%s, 'workflow.started', uuidv7(), %s, '{}', false, NULL)",
            (users[number % USERS], number),
        )
        if number == MESSAGES // 2:
            sending.kill()
            sending.begin()


def waiting(paths: str) -> int:
    row = db.row(
        "SELECT count(*) AS n FROM webhook_sendings AS s JOIN webhook_endpoints AS e"
        " ON e.id = s.endpoint_id WHERE status <> 'delivered' AND url ~ %s",
        (paths,),
    )
    assert row is not None
    return int(row["n"])


def until_delivered(paths: str, seconds: float, *, passing: bool = False) -> None:
    ends = time.monotonic() + seconds
    while left := waiting(paths):
        assert time.monotonic() < ends, f"{left} messages wait for {paths}"
        time.sleep(0.5)
        if passing:
            pass_time(timedelta(minutes=20))


def latencies(receiver: Receiver, paths: tuple[str, ...]) -> list[float]:
    """From the message to its first arrival, in seconds, of each delivery; shortest first."""
    rows = db.rows("SELECT id, created_at FROM webhook_messages", ())
    made = {f"msg_{row['id'].hex}": row["created_at"] for row in rows}
    first: dict[tuple[str, str], float] = {}
    for got in receiver.got:
        if got.path.startswith(paths):
            took = (datetime.fromtimestamp(got.at, UTC) - made[got.id]).total_seconds()
            key = (got.path, got.id)
            first[key] = min(first.get(key, took), took)
    return sorted(first.values())


@pytest.mark.long
@pytest.mark.timeout(600)
def test_dead_and_slow_endpoints_hold_up_no_other(
    settings: Settings,
    private: tuple[int, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead_port = free_port()
    sending = Sending(tmp_path)
    with Receiver().serving() as receiver:
        ports = ",".join(f"127.0.0.1:{port}" for port in (receiver.port, dead_port))
        for name, value in {"OUTBOUND_ALLOWED": ports, "LEASE_SECONDS": "30"}.items():
            monkeypatch.setenv(name, value)
        forget()
        users = made_users()
        dead: list[UUID] = []
        for number in range(USERS * OF_EACH):
            place, user = number // USERS, users[number % USERS]
            kind = "quick" if place else ("dead" if number < 20 else "slow")
            url = receiver.url(f"/{kind}/{number}")
            if kind == "dead" and number < 7:
                url = f"http://127.0.0.1:{dead_port}/dead/{number}"
            answer = {"quick": Answer(), "slow": SLOW, "dead": Answer(500, seconds=0.0)}[kind]
            if kind == "dead" and number >= 14:
                answer = Answer(seconds=30.0)
            receiver.answers[f"/{kind}/{number}"] = answer
            made, _ = endpoints.create(user, Wanted(url))
            dead += [made] if kind == "dead" else []
        port, reached = private
        # No endpoint with such an address can be made, so these rows are written.
        for host in PRIVATE:
            for scheme, which in (("https", 443), ("https", port), ("http", port)):
                db.row(
                    "SELECT create_webhook_endpoint_v1(%s, %s, '', NULL, false, 'whsec_AAAA', 999)",
                    (users[0], f"{scheme}://{host}:{which}/"),
                )
        try:
            sending.begin()
            sending.begin()
            sending.await_ready()
            tell_all(users, sending)
            until_delivered("/quick/", 45)
            until_delivered("/slow/", 120)
            quick, slow = latencies(receiver, ("/quick/",)), latencies(receiver, ("/slow/",))
            report("quick", quick)
            report("slow", slow)
            attempts = db.rows(
                "SELECT count(*) AS n FROM webhook_attempts WHERE endpoint_id = ANY (%s::uuid[])",
                ([str(each) for each in dead],),
            )
            print(f"attempts at the dead: {attempts[0]['n']}")
            assert (len(quick), len(slow)) == (160 * 50, 20 * 50)
            assert quick[int(len(quick) * 0.99)] < BOUND_SECONDS
            # The dead come back: nothing of theirs is lost either.
            for path in [each for each in receiver.answers if each.startswith("/dead/")]:
                receiver.answers[path] = Answer()
            with Receiver(dead_port).serving() as back:
                until_delivered("/dead/", 120, passing=True)
                came = {(got.path, got.id) for got in (*receiver.got, *back.got)}
        finally:
            sending.end()
    assert len(came) == MESSAGES * OF_EACH
    doubled = len([got for got in receiver.got if got.path.startswith("/quick/")]) - len(quick)
    print(f"sent twice because of the kill: {doubled}")
    tried = db.rows(
        "SELECT DISTINCT a.error, a.status FROM webhook_attempts AS a"
        " JOIN webhook_endpoints AS e ON e.id = a.endpoint_id WHERE e.secret = 'whsec_AAAA'",
        (),
    )
    assert tried
    assert {row["status"] for row in tried} == {None}
    assert all(row["error"].startswith("nothing is sent") for row in tried), tried
    assert reached == []


def report(name: str, found: list[float]) -> Any:
    """Print the percentiles of latencies."""
    at = {f"p{p}": round(found[int(len(found) * p / 100)], 3) for p in (50, 90, 99)}
    print(name, len(found), at, "longest", round(found[-1], 3))
