"""A server on loopback that answers every request after `--milliseconds`; the vendor of W4.

It prints its port, and ends when its standard input does: with whoever started it.
"""

import argparse
import asyncio
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def serve(seconds: float) -> None:
    """Answer until standard input ends."""
    readers: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        readers.add(task)
        try:
            # Requests have no body: each ends with its head.
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(seconds)
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            readers.discard(task)
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    for task in list(readers):
        task.cancel()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--milliseconds", type=float, default=100.0)
    asyncio.run(serve(parser.parse_args().milliseconds / 1000))


if __name__ == "__main__":
    main()
