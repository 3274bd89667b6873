"""Starts and stops the sandbox: one process with a port for each vendor, on loopback only."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from wsgiref.types import WSGIEnvironment

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from ops.sandbox.agora.server import Agora
from ops.sandbox.box import Box
from ops.sandbox.control import Control
from ops.sandbox.credentials import Credentials
from ops.sandbox.faults import Faults
from ops.sandbox.http.server import Jobs
from ops.sandbox.n8n.server import N8n
from ops.sandbox.openai.server import OpenAI
from ops.sandbox.replicate.server import Replicate
from ops.sandbox.settings import Settings
from ops.sandbox.store import Store
from ops.sandbox.stripe.server import Stripe
from ops.sandbox.timers import Timers
from ops.sandbox.vercel.pages import Pages
from ops.sandbox.vercel.server import Vercel
from ops.sandbox.webhooks.outbox import Outbox
from ops.sandbox.wire import Vendor

HOST = "127.0.0.1"
# The ports are consecutive, in this order; the first is the base port.
PORTS = ("control", "stripe", "openai", "replicate", "vercel", "pages", "agora", "n8n", "http")
BACKLOG = 1024
POLL_SECONDS = 0.1
STOP_SECONDS = 0.4


class PortTaken(Exception):
    """Raised if another program uses a port of the sandbox."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} on {HOST} is taken")


class _Quiet(WSGIRequestHandler):
    def connection_dropped(
        self, error: BaseException, environ: WSGIEnvironment | None = None
    ) -> None:
        """Close a connection that a fault has dropped; otherwise HTTP/1.1 would keep it open."""
        self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:
        """Log nothing, because a line for each request would flood the demo's log."""


@dataclass
class Sandbox:
    """A running sandbox; `stop` ends it within two seconds and keeps its state."""

    box: Box
    servers: list[ThreadedWSGIServer]

    def stop(self) -> None:
        """Stop listening, then the timers and webhooks, then close the store."""
        threads = [threading.Thread(target=server.shutdown) for server in self.servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(STOP_SECONDS)
        for server in self.servers:
            server.server_close()
        is_idle = [self.box.timers.stop(STOP_SECONDS), self.box.outbox.stop(STOP_SECONDS)]
        if all(is_idle):
            # If a thread still uses the store, leave the store open. That loses no data, because
            # the store survives even kill -9.
            self.box.store.close()


def start(base_port: int, folder: Path, hook_base: str | None, seed: int, key: str) -> Sandbox:
    """Listen on every port and return; raises PortTaken for the first port that is in use.

    `key` is the key of the control API.
    """
    sockets = _listen(base_port)
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder)
    settings, faults, credentials = Settings(store), Faults(store), Credentials.from_seed(seed)
    if hook_base is not None:
        settings.change({"hook_base": hook_base.rstrip("/")})
    outbox, timers = Outbox(store, settings, faults, credentials), Timers(store)
    urls = {
        name: f"http://{HOST}:{each.getsockname()[1]}"
        for name, each in zip(PORTS, sockets, strict=True)
    }
    box = Box(store, settings, faults, outbox, timers, credentials, seed, key, urls)
    servers = [_server(app, each) for app, each in zip(_apps(box), sockets, strict=True)]
    timers.start()
    outbox.start()
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    return Sandbox(box, servers)


def _apps(box: Box) -> list[Vendor]:
    replicate, stripe = Replicate(box), Stripe(box)
    return [
        Control(box, replicate.runs, stripe.money),
        stripe,
        OpenAI(box),
        replicate,
        Vercel(box),
        Pages(box),
        Agora(box),
        N8n(box),
        Jobs(box),
    ]


def _listen(base_port: int) -> list[socket.socket]:
    with contextlib.ExitStack() as opened:
        sockets = []
        for number in range(len(PORTS)):
            port = base_port + number if base_port else 0
            each = opened.enter_context(socket.socket())
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                each.bind((HOST, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortTaken(port) from error
                raise
            each.listen(BACKLOG)
            sockets.append(each)
        opened.pop_all()
        return sockets


def _server(app: Vendor, listening: socket.socket) -> ThreadedWSGIServer:
    port = listening.getsockname()[1]
    server = ThreadedWSGIServer(HOST, port, app, handler=_Quiet, fd=listening.fileno())
    listening.close()
    return server
