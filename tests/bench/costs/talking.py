"""A front's clients, all in one thread: requests at their planned times, and readers of streams.

Each connection is one HTTP/1.1 connection that is kept; requests have a body, answers a length.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Target:
    """Where the front is, and the key to use it with."""

    port: int
    key: str

    def submission(self, type: str, idempotency_key: str) -> bytes:
        """A request that starts a workflow."""
        body = json.dumps({"type": type, "input": {}}).encode()
        head = (
            f"POST /v1/workflows HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\nIdempotency-Key: {idempotency_key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def stream(self, workflow_id: str) -> bytes:
        """A request for a workflow's events as they happen."""
        return (
            f"GET /v1/workflows/{workflow_id}/events HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\nAccept: text/event-stream\r\n\r\n"
        ).encode()


@dataclass
class Load:
    """What came of some requests; `late_seconds` of each from its planned time to its answer."""

    seconds: float = 0.0
    late_seconds: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def rate(self) -> float:
        """Answers that were a success, per second."""
        return len(self.late_seconds) / self.seconds if self.seconds else 0.0


async def as_fast_as_answered(target: Target, type: str, clients: int, seconds: float) -> Load:
    """`clients` connections, each of which sends when it has its answer."""
    made, until = Load(), time.monotonic() + seconds
    numbers = _keys("f")

    async def talk() -> None:
        async with _connection(target) as (reader, writer):
            while (began := time.monotonic()) < until:
                await _submit(reader, writer, target.submission(type, next(numbers)), began, made)

    began = time.monotonic()
    await asyncio.gather(*(talk() for _ in range(clients)))
    made.seconds = time.monotonic() - began
    return made


async def as_planned(target: Target, type: str, rate: float, clients: int, seconds: float) -> Load:
    """`rate` requests a second at even distances, whatever the answers take; one that finds all
    connections in use waits, and that counts."""
    made, numbers = Load(), _keys("p")
    planned: asyncio.Queue[float | None] = asyncio.Queue()

    async def talk() -> None:
        async with _connection(target) as (reader, writer):
            while (at := await planned.get()) is not None:
                await _submit(reader, writer, target.submission(type, next(numbers)), at, made)

    talking = [asyncio.create_task(talk()) for _ in range(clients)]
    began = time.monotonic()
    for at in times(began, rate, seconds):
        await asyncio.sleep(at - time.monotonic())
        planned.put_nowait(at)
    for _ in talking:
        planned.put_nowait(None)
    await asyncio.gather(*talking)
    made.seconds = time.monotonic() - began
    return made


def times(began: float, rate: float, seconds: float) -> Iterator[float]:
    """When to send: `rate` a second at even distances. Pure.

    >>> list(times(10.0, 4.0, 1.0))
    [10.0, 10.25, 10.5, 10.75]
    """
    return (began + number / rate for number in range(int(rate * seconds)))


def _keys(prefix: str) -> Iterator[str]:
    mark = f"{prefix}{time.time_ns()}"
    return (f"{mark}-{number}" for number in itertools.count())


@contextlib.asynccontextmanager
async def _connection(
    target: Target,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _submit(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: bytes,
    planned_at: float,
    made: Load,
) -> None:
    writer.write(request)
    async with asyncio.timeout(ANSWER_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(length_of(head))
    if head.startswith(b"HTTP/1.1 201 "):
        made.late_seconds.append(time.monotonic() - planned_at)
    else:
        made.refused += 1


def length_of(head: bytes) -> int:
    """The length of the body behind an answer's head. Pure.

    >>> length_of(b"HTTP/1.1 200 OK\\r\\ncontent-length: 12\\r\\n\\r\\n")
    12
    """
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise SystemExit(f"an answer without a length: {head[:80]!r}")


async def arrivals(
    target: Target, workflow_id: str, last: int, is_reading: asyncio.Event
) -> dict[int, float]:
    """When each event of a workflow came, by its number, up to number `last`; `is_reading` is set
    with the first."""
    came: dict[int, float] = {}
    async with _connection(target) as (reader, writer):
        writer.write(target.stream(workflow_id))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"no event stream: {head[:80]!r}")
        while last not in came:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await reader.readline()
            if not line:
                raise SystemExit("an event stream has ended early")
            if line.startswith(b"id: "):
                came[int(line[4:])] = time.monotonic()
                is_reading.set()
    return came
