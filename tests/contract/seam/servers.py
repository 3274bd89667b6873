"""Small servers that answer as a test says, also against the protocol."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from app.outbound import http

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve each connection with `answer` once its request has been read; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        stop = threading.Event()
        opened: list[socket.socket] = []

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                opened.append(connection)
                with connection:
                    connection.settimeout(60)
                    connection.recv(65536)
                    try:
                        answer(connection)
                    except OSError:
                        continue  # the client went away, as it should

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            stop.set()
            for connection in opened:
                with suppress(OSError):  # it may be closed
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            thread.join(timeout=10)


@contextmanager
def answering(*heads: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these answers in turn; its address, and the requests that it has read."""
    read: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        for head in heads:
            connection.sendall(head)
            read.append(connection.recv(65536))

    with server(answer) as url:
        yield url, read


def to(target: str) -> bytes:
    """A redirect."""
    return f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()


def port_of(url: str) -> str:
    return url.rstrip("/").rpartition(":")[2]


def heard(
    path: str = "", method: str = "POST", headers: Mapping[str, str] | None = None, **more: Any
) -> tuple[str, dict[str, str]]:
    """The request line, and the headers, of a request as they arrive."""
    heads: list[bytes] = []

    def note(connection: socket.socket) -> None:
        heads.append(connection.recv(65536))
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                note(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        with http.operation("n8n", "run", repeatable=True):
            address = f"//127.0.0.1:{listening.getsockname()[1]}/{path}"
            user = more.pop("user", "")
            http.send(method, f"http:{address.replace('//', '//' + user)}", headers=headers, **more)
        thread.join(5)
    first, *lines = heads[0].decode().partition("\r\n\r\n")[0].split("\r\n")
    return first, {name.lower(): value for name, _, value in (ln.partition(": ") for ln in lines)}
