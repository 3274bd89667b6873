"""Restate as a peer, without its server: what is installed, what its handlers are, how it is asked.

The server here answers as Restate's ingress and admin do; the real one is in no test, for it comes
from the network.
"""

import ast
import contextlib
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.bench.comparing.loads import LOADS, W1, W3
from tests.bench.comparing.sides import Patience, Recorded
from tests.bench.machine.asking import Asking
from tests.bench.restate import installed, side
from tests.bench.restate.server import Started, durability

CONFIG = "[bifrost]\ndefault-provider = 'replicated'\n[log-server]\n"


def test_every_load_has_a_handler_of_its_canvas() -> None:
    code = ast.parse(Path(side.__file__).with_name("handlers.py").read_text())
    handlers = {
        node.name
        for node in code.body
        if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list
    }
    assert handlers == {load.canvas for load in LOADS.values()}


def test_what_is_installed_has_exact_versions_and_names_no_place() -> None:
    lines = [
        line
        for line in installed.REQUIREMENTS.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert {line.partition("==")[0] for line in lines} > {"restate-sdk", "hypercorn"}
    assert all(line.count("==") == 1 and "/" not in line for line in lines)


def test_another_version_is_installed_into_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = installed.place()
    assert first.folder.parent == tmp_path / "playalter"
    assert not first.is_whole
    assert installed.place("1.0.0").folder != first.folder
    with pytest.raises(SystemExit, match="has no binary for this kind of machine"):
        _ = first.server


def test_an_installation_that_fails_says_what_failed_and_what_it_needs() -> None:
    with pytest.raises(SystemExit, match="no route to the registry") as ended:
        installed.run(sys.executable, "-c", "raise SystemExit('no route to the registry')")
    assert "reach the registries of PyPI and of npm" in str(ended.value)


@pytest.mark.parametrize(("flag", "said"), [("false", "on"), ("true", "off")])
def test_the_servers_own_settings_say_whether_it_flushes(flag: str, said: str) -> None:
    found = durability(f"{CONFIG}rocksdb-disable-wal-fsync = {flag}")
    assert found == f"replicated log, fsync {said}"


class Ingress(BaseHTTPRequestHandler):
    """Answers as Restate does: an invocation has ended when it was asked for often enough."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    ends_at = 3
    refuses = ""
    """What the first query is told instead of its answer."""
    asked: Counter[str]
    connections: set[object]

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/query" and self.refuses and not self.asked["/query"]:
            self.asked["/query"] += 1
            self._say(500, {"message": self.refuses})
        elif self.path == "/query":
            is_steps = "sys_journal" in given["query"]
            self._say(200, {"rows": [{"n": 9 if is_steps else 3}]})
        elif self.path == "/bench/three/send":
            self.asked["sent"] += 1
            self._say(202, {"invocationId": f"inv_{self.asked['sent']}"})
        else:
            self._say(404, {"message": f"no handler {self.path}"})

    def do_GET(self) -> None:
        self.connections.add(self.connection)
        self.asked[self.path] += 1
        self._say(200 if self.asked[self.path] >= self.ends_at else 470, {})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _say(self, status: int, body: object) -> None:
        said = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


@pytest.fixture
def restate() -> Iterator[side.Restate]:
    """The side of a server that answers as Restate does."""
    Ingress.asked, Ingress.connections = Counter(), set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Ingress) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started = Started(1, 1, server.server_port, server.server_port, {})
        with contextlib.closing(side.Restate(started)) as asking:
            yield asking
        server.shutdown()


def test_invocations_are_waited_for_until_each_has_ended(restate: side.Restate) -> None:
    ids = [restate.submit(W1) for _ in range(3)]
    assert ids == ["inv_1", "inv_2", "inv_3"]
    restate.await_end(ids, Patience("restate", (), 10.0), 0.001)
    assert {Ingress.asked[f"/restate/invocation/{each}/output"] for each in ids} == {3}
    assert len(Ingress.connections) == 1
    assert restate.recorded(W1) == Recorded(3, 9, 9)


def test_an_end_that_does_not_come_is_given_up(
    restate: side.Restate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ingress, "ends_at", 100)
    ids, patience = [restate.submit(W1)], Patience("restate", (), 0.0)
    with pytest.raises(SystemExit, match="restate: one of 1 invocations has not ended after 0 s"):
        restate.await_end(ids, patience, 0.001)


@pytest.mark.parametrize(
    "said", ["partition 0 doesn't exist on this node", "node lookup for partition 1 failed"]
)
def test_a_query_is_sent_again_while_the_server_takes_over_a_partition(
    restate: side.Restate, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(Ingress, "refuses", said)
    assert restate.recorded(W1) == Recorded(3, 9, 9)


def test_a_query_that_is_wrong_is_told_at_once(
    restate: side.Restate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ingress, "refuses", "no such table")
    with pytest.raises(SystemExit, match=r"was answered 500: .*no such table"):
        restate.recorded(W1)


def test_what_the_server_refuses_is_told(restate: side.Restate) -> None:
    with pytest.raises(SystemExit, match="POST /bench/fan_out/send was answered 404"):
        restate.submit(W3)


def test_a_connection_that_the_server_has_closed_is_made_again() -> None:
    class Short(Ingress):
        def do_GET(self) -> None:
            self.close_connection = True
            super().do_GET()

    Ingress.asked, Ingress.connections = Counter(), set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Short) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with contextlib.closing(Asking(server.server_port, {})) as asking:
            assert [asking.answer("GET", "/x")[0] for _ in range(3)] == [470, 470, 200]
        server.shutdown()
    assert len(Short.connections) == 3
