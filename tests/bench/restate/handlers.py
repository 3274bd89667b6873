"""The loads as handlers of Restate. hypercorn serves this in Restate's environment (installed.py),
as Restate's manual says; nothing of ours is imported here."""

import os

import aiohttp
import restate

_STEPS = ("first", "second", "third")
_sessions: list[aiohttp.ClientSession] = []
"""One for each process, kept open as ours is; made at the first call, inside of the loop."""

bench = restate.Service("bench")


async def nothing() -> None:
    """Do nothing."""


async def call() -> None:
    """One request to the server of machine/answering.py."""
    if not _sessions:
        # As many connections as there are calls; the default is 100.
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    async with _sessions[0].get(os.environ["BENCH_URL"]) as answer:
        answer.raise_for_status()
        await answer.read()


@bench.handler()
async def three(context: restate.Context, width: int) -> None:
    """Three durable steps, one after the other."""
    for key in _STEPS:
        await context.run_typed(key, nothing)


@bench.handler()
async def calls(context: restate.Context, width: int) -> None:
    """Three durable steps that wait for an answer each."""
    for key in _STEPS:
        await context.run_typed(key, call)


@bench.handler()
async def fan_out(context: restate.Context, width: int) -> None:
    """So many durable steps side by side, and their join."""
    await restate.gather(*(context.run_typed(f"part{n}", nothing) for n in range(width)))
    await context.run_typed("join", nothing)


app = restate.app([bench])
