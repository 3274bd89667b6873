"""The loads as handlers of Restate. hypercorn serves this in Restate's environment (installed.py),
as Restate's manual says; nothing of ours is imported here."""

import os

import aiohttp
import restate

_STEPS = ("first", "second", "third")
_sessions: list[aiohttp.ClientSession] = []
"""One for each process, kept open as ours is; made at the first call, inside of the loop."""

bench = restate.Service("bench")


async def nothing(x: int) -> int:
    """Return what is given."""
    return x


async def call(x: int) -> int:
    """One request to the server of machine/answering.py; return what is given."""
    if not _sessions:
        # As many connections as there are calls; the default is 100.
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    async with _sessions[0].get(os.environ["BENCH_URL"]) as answer:
        answer.raise_for_status()
        await answer.read()
    return x


@bench.handler()
async def three(context: restate.Context, width: int) -> int:
    """Three durable steps, each with what the one before has returned."""
    x = 0
    for key in _STEPS:
        x = await context.run_typed(key, nothing, x=x)
    return x


@bench.handler()
async def calls(context: restate.Context, width: int) -> int:
    """The same with steps that wait for an answer each."""
    x = 0
    for key in _STEPS:
        x = await context.run_typed(key, call, x=x)
    return x


@bench.handler()
async def fan_out(context: restate.Context, width: int) -> None:
    """So many durable steps side by side, and their join."""
    await restate.gather(*(context.run_typed(f"part{n}", nothing, x=n) for n in range(width)))
    await context.run_typed("join", nothing, x=width)


app = restate.app([bench])
