"""A server on loopback that answers every request after `--milliseconds`; the vendor of W4.

It prints its port, and ends when its standard input does: with whoever started it.
"""

import argparse
import asyncio
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Answering(asyncio.Protocol):
    """One connection; no streams, for what this costs is taken from those who are measured."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._begun = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # Requests have no body: each ends with its head.
        *heads, self._begun = (self._begun + data).split(b"\r\n\r\n")
        for _ in heads:
            self._loop.call_later(self._seconds, self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(_ANSWER)


async def serve(seconds: float) -> None:
    """Answer until standard input ends."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Answering(seconds), "127.0.0.1", 0, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--milliseconds", type=float, default=100.0)
    asyncio.run(serve(parser.parse_args().milliseconds / 1000))


if __name__ == "__main__":
    main()
