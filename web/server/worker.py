"""Gunicorn's threaded worker, changed so that no slow client holds a thread.

Its loop collects requests (web/server/arrivals.py), sends what slow clients have not taken of a
response (web/server/departures.py) and bounds the connections of an address. Unreadable requests
never reach the application; they are answered with a problem document instead of HTML.
https://docs.gunicorn.org/en/stable/design.html
"""

import errno
import resource
import sys
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE
from socket import SHUT_WR, socket
from typing import Any

from gunicorn.util import close_graceful  # type: ignore[import-untyped] # ships no types
from gunicorn.workers.gthread import (  # type: ignore[import-untyped] # as above
    STOP_KEEPALIVE_LINGER,
    ThreadWorker,
)

from app import garbage
from app.settings import current
from web import presence
from web.server.addresses import Addresses
from web.server.arrivals import Arrival, Slots, State
from web.server.departures import Memory, Outlet
from web.server.lanes import Lanes
from web.server.refusals import BUSY, CROWDED, FORWARDED, SLOW, UNREAD, answer, status_of
from web.server.responses import Reply

_CHECK_SECONDS = 0.5
_FILES = 4096
_NOT_NOW = (errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE)
_LINGER_SECONDS = 2.0
_SWITCH_SECONDS = 0.001
"""A thread that computes gives way to others after this time. With Python's default of 5 ms, every
statement of a small request would wait that long for each thread that checks a definition."""

_RESTS = "rests"
"""What `handle` returns if the connection can await its next request without the loop's help."""


class Worker(ThreadWorker):  # type: ignore[misc] # Any, as it ships no types
    """A web server process with a pool of threads, and a loop that collects requests for them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slots = Slots(self.cfg.threads, lambda lane: self._lanes.has_room(lane))
        self._settings = current()
        self._addresses = Addresses(self._settings)
        self._memory = Memory()
        self._departing: dict[Outlet, tuple[Arrival, Any] | None] = {}
        self._arriving: set[Arrival] = set()
        self._lingering: set[Arrival] = set()
        self._next_check = 0.0
        self._next_notice = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse TLS, whose handshake would hold a thread."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ValueError("this server does not speak TLS; put a proxy with TLS in front of it")

    def get_thread_pool(self) -> Lanes:
        """The threads that answer requests."""
        self._lanes = Lanes(self.cfg.threads)
        return self._lanes

    def load_wsgi(self) -> None:
        """Load the application and exempt all loaded objects from garbage collection.

        From then on, the process says that it is there to receive webhooks.
        """
        super().load_wsgi()
        _look_up(self.cfg)
        _allow_files()
        presence.begin()
        sys.setswitchinterval(_SWITCH_SECONDS)
        garbage.keep_what_is_imported()

    def accept(self, listener: socket) -> None:
        """Accept a connection, unless its address has as many as it may have."""
        try:
            client, address = listener.accept()
        except OSError as err:
            if err.errno not in _NOT_NOW:
                raise
            return
        server = listener.getsockname()
        outlet = Outlet(client, self._settings, self._memory, self._on_left)
        arrival = Arrival(
            self.cfg, outlet, address, server, self._settings, self._addresses, self._on_close
        )
        self.nr_conns += 1
        if arrival.is_crowded:
            self._refuse(arrival, HTTPStatus.SERVICE_UNAVAILABLE, CROWDED, is_graceful=False)
        else:
            self._advance(arrival)

    def enqueue_req(self, conn: Arrival) -> None:
        """Collect the next request of a connection; a thread gets it when it is complete."""
        conn.begin()
        self._advance(conn)

    def finish_request(self, conn: Arrival, fs: Any) -> None:
        """Take back the slot of a request; it ends when the client has taken the response."""
        if self._slots.release(conn):
            self._give_slots()
        if conn.sock.is_watched:
            self._departing[conn.sock] = (conn, fs)
        else:
            self._finish(conn, fs)

    def notify(self) -> None:
        """Tell gunicorn's parent process that this one lives, not with each request."""
        now = time.monotonic()
        if now >= self._next_notice:
            self._next_notice = now + _CHECK_SECONDS
            super().notify()

    def murder_pending(self) -> None:
        """Refuse the requests whose time is over, start those with room, close what lingered."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_SECONDS
        for arrival in [each for each in self._lingering if each.until < now]:
            self._on_close(arrival, False)
        for arrival in [each for each in self._arriving if each.until < now]:
            self._expire(arrival)
        for outlet in [each for each in self._departing if each.is_late()]:
            self._unwatch(outlet, is_cut=True)
        for request in self._lanes.wake(now - self._settings.web_slot_seconds):
            request.connection.refuse(answer(HTTPStatus.SERVICE_UNAVAILABLE, BUSY))
            request.answer.cancel()  # so gunicorn closes the connection
        self._give_slots()

    def _on_left(self, outlet: Outlet) -> None:
        """Called in a thread whose response the client does not take at once."""
        self.method_queue.defer(self._watch, outlet)

    def _watch(self, outlet: Outlet) -> None:
        if outlet.fileno() >= 0 and not outlet.is_watched:
            outlet.is_watched = True
            self._departing[outlet] = None
            self.poller.register(outlet, EVENT_WRITE, partial(self._depart, outlet))

    def _depart(self, outlet: Outlet, _: Any) -> None:
        try:
            is_sent, is_cut = outlet.advance(), False
        except OSError:
            is_sent, is_cut = True, True
        if is_sent:
            self._unwatch(outlet, is_cut=is_cut)

    def _unwatch(self, outlet: Outlet, *, is_cut: bool) -> None:
        self.poller.unregister(outlet)
        outlet.is_watched = False
        if is_cut:
            outlet.cut()
        ended = self._departing.pop(outlet)
        if ended is not None:
            self._finish(*ended)

    def _finish(self, conn: Arrival, fs: Any) -> None:
        conn.end()
        super().finish_request(conn, fs)

    def handle(self, conn: Arrival) -> Any:
        """Answer a request, in a thread. The time for the rest of its body begins now.

        If the client has taken the response and holds no slot, there is nothing to do for the loop
        until the next request arrives (see `_on_answered`).
        """
        conn.start_clock()
        is_kept = super().handle(conn)
        return _RESTS if is_kept and conn.may_rest() else is_kept

    def _rest(self, conn: Arrival) -> None:
        """Await the next request; the loop may begin to read that before this returns."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        if not self.alive:  # the loop may have capped the others before
            self._cap_keepalive(time.monotonic() + STOP_KEEPALIVE_LINGER)
        with suppress(OSError, ValueError):  # the server has stopped, and has closed the connection
            on_request = partial(self.on_client_socket_readable, conn)
            self.poller.register(conn.sock, EVENT_READ, on_request)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in list(self.keepalived_conns):  # threads may still append
            conn.timeout = min(conn.timeout, deadline)

    def handle_request(self, req: Any, conn: Arrival) -> Any:
        """Let the application answer, and send the head of the response with its body.

        Returns whether the connection may be kept. This is gunicorn's, but for `Environs`.
        """
        conn.sock.keep_first()
        reply: Reply | None = None
        environ: dict[str, Any] = {}
        try:
            self.cfg.pre_request(self, req)
            reply, environ = conn.environs.create(req)
            self._answer(req, reply, environ)
        except OSError:
            raise
        except (Exception, SystemExit):
            if reply is None or not reply.headers_sent:
                raise
            self.log.exception("Error handling request")
            close_graceful(conn.sock)
            raise StopIteration from None
        finally:
            conn.sock.send_kept()
            self.cfg.post_request(self, req, environ, reply)
        return not reply.should_close()

    def _answer(self, req: Any, reply: Reply, environ: dict[str, Any]) -> None:
        began = time.monotonic()
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False  # gunicorn starts another process
        is_full = len(self.keepalived_conns) >= self.max_keepalived
        if is_full or not self.alive or not self.cfg.keepalive:
            reply.force_close()
        parts = self.wsgi(environ, reply.start_response)
        try:
            if isinstance(parts, environ["wsgi.file_wrapper"]):
                reply.write_file(parts)
            else:
                for part in parts:
                    reply.write(part)
            reply.close()
        finally:
            self.log.access(reply, req, environ, timedelta(seconds=time.monotonic() - began))
            if hasattr(parts, "close"):
                parts.close()

    def _give_slots(self) -> None:
        while (following := self._slots.following()) is not None:
            self._hand_over(following)

    def _advance(self, arrival: Arrival, _: Any = None) -> None:
        state = arrival.collect()
        if state is State.INCOMPLETE:
            if arrival not in self._arriving:
                self._arriving.add(arrival)
                self.poller.register(arrival.sock, EVENT_READ, partial(self._advance, arrival))
            return
        self._forget(arrival)
        if state is State.TOO_LARGE:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(arrival, status, "the head of the request is too large")
        elif state is State.MALFORMED:
            self._refuse(arrival, HTTPStatus.BAD_REQUEST, FORWARDED)
        elif state is State.CROWDED:
            self._refuse(arrival, HTTPStatus.SERVICE_UNAVAILABLE, CROWDED)
        elif state is State.GONE:
            self._refuse(arrival, HTTPStatus.BAD_REQUEST, UNREAD, is_graceful=False)
        elif not arrival.needs_slot or self._slots.take(arrival):
            self._hand_over(arrival)
        else:
            self._arriving.add(arrival)

    def _hand_over(self, arrival: Arrival) -> None:
        self._arriving.discard(arrival)
        arrival.hand_over()
        answered = self.tpool.submit(self.handle, arrival)
        answered.add_done_callback(partial(self._on_answered, arrival))

    def _on_answered(self, arrival: Arrival, answered: "Future[Any]") -> None:
        """Called in the thread of a request, when its lane has one thread more, or in the loop if
        the request is cancelled."""
        has_failed = answered.cancelled() or answered.exception() is not None
        if has_failed or answered.result() is not _RESTS:
            self.method_queue.defer(self.finish_request, arrival, answered)
        else:
            self._rest(arrival)

    def _expire(self, arrival: Arrival) -> None:
        is_waiting = arrival in self._slots.waiting
        self._forget(arrival)
        if is_waiting:
            self._slots.waiting.remove(arrival)
            self._refuse(arrival, HTTPStatus.SERVICE_UNAVAILABLE, CROWDED)
        else:
            self._refuse(arrival, HTTPStatus.REQUEST_TIMEOUT, SLOW)

    def _refuse(
        self, arrival: Arrival, status: HTTPStatus, detail: str, *, is_graceful: bool = True
    ) -> None:
        self.nr_conns -= 1
        if arrival.collected or status is HTTPStatus.SERVICE_UNAVAILABLE:
            arrival.refuse(answer(status, detail))
        arrival.close(graceful=is_graceful)

    def _on_close(self, arrival: Arrival, is_graceful: bool) -> None:
        # gunicorn's own graceful close would block this loop for up to two seconds.
        if is_graceful and self._linger(arrival):
            return
        if arrival in self._lingering:
            self._lingering.discard(arrival)
            self.poller.unregister(arrival.sock)
        arrival.sock.close()
        arrival.leave()

    def _linger(self, arrival: Arrival) -> bool:
        try:
            arrival.sock.setblocking(False)
            arrival.sock.shutdown(SHUT_WR)
        except OSError:
            return False
        arrival.until = time.monotonic() + _LINGER_SECONDS
        self._lingering.add(arrival)
        self.poller.register(arrival.sock, EVENT_READ, partial(self._drain, arrival))
        return True

    def _drain(self, arrival: Arrival, _: Any) -> None:
        try:
            is_open = bool(arrival.sock.recv(65_536))
        except BlockingIOError:
            is_open = True
        except OSError:
            is_open = False
        if not is_open:
            self._on_close(arrival, False)

    def _forget(self, arrival: Arrival) -> None:
        if arrival in self._arriving:
            self._arriving.discard(arrival)
            if arrival.sock in self.poller.get_map():
                self.poller.unregister(arrival.sock)

    def handle_error(self, req: Any, client: socket, addr: Any, exc: Exception) -> None:
        """Answer a request that could not be read; gunicorn then closes the connection."""
        status = status_of(exc)
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("Error handling request", exc_info=exc)
        else:
            self.log.warning("Unreadable request: %s", type(exc).__name__)
        try:
            client.settimeout(1.0)
            slow = status is HTTPStatus.REQUEST_TIMEOUT
            client.sendall(answer(status, SLOW if slow else UNREAD))
        except OSError:
            self.log.debug("Failed to send error message.")


def _look_up(cfg: Any) -> None:
    """Keep the value of each of gunicorn's settings where an attribute is found at once.

    gunicorn looks one up by two calls, and needs two dozen of them for each request.
    """
    vars(cfg).update({name: setting.get() for name, setting in cfg.settings.items()})


def _allow_files() -> None:
    """Let this process open a file for each connection, if the system lets it."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
