"""Batches in tests: steps that wait for them, and hours that pass here and at OpenAI."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

from app import db
from app.batches import rows
from app.platform import Json
from app.platform.batches import LineEnd
from app.settings import Settings
from chains.batches.carrying import HOLD_SECONDS, carry
from chains.batches.moving import Mover
from tasks.openai.batches import results
from tasks.openai.batches.carrying import BATCHES, bounds
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive

ASKED: Json = {"input": "Heroes of space on stage", "max_output_tokens": 500}
GATHERED = "6 minutes"
"""After so long, lines are gathered that wait."""


def node(**more: object) -> Json:
    """A definition of one step that waits for a batch."""
    return {"step": "ask", "action": "openai.batch", "with": {**ASKED, "cache": False, **more}}


def asked(kernel: Kernel, count: int, **more: object) -> list[UUID]:
    """Workflows whose step waits for a batch."""
    name = kernel.register(node(**more))
    started = [kernel.start(name) for _ in range(count)]
    drive()
    return started


def later(vendors: Vendors, seconds: float) -> None:
    """Let time pass at OpenAI, and what is then due be done."""
    vendors.advance(seconds)
    until = time.monotonic() + 90
    while vendors._ask("GET", "/underway")["objects"]:
        assert time.monotonic() < until
        time.sleep(0.02)


def passed(interval: str) -> None:
    """Let time pass here."""
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (%s::interval) ON CONFLICT (is_only)"
        " DO UPDATE SET amount = clock_offset.amount + excluded.amount",
        (interval,),
    )


def sent() -> Json:
    """Gather what waits and send it; the only batch."""
    passed(GATHERED)
    carry(30)
    return only()


def only() -> Json:
    """The only batch."""
    (found,) = batches()
    return found


def batches() -> list[Json]:
    """All batches, oldest first."""
    return db.rows("SELECT * FROM batches ORDER BY id", ())


def lines() -> list[Json]:
    """All lines, oldest first."""
    return db.rows("SELECT * FROM batch_lines ORDER BY id", ())


def come(vendors: Vendors, hours: float = 3) -> None:
    """Let hours pass here and at OpenAI, and carry what is due then to its steps."""
    later(vendors, hours * 3600)
    passed(f"{hours} hours")
    carry(30)
    drive()


def mover(**other: object) -> Mover:
    """The hold of a process on the batch that is due; `other` functions of the platform."""
    passed("1 hour")
    batch = rows.claim("openai", HOLD_SECONDS)
    assert batch is not None
    return Mover("openai", replace(BATCHES, **other), bounds(), batch)  # type: ignore[arg-type]


def died(batch: Json) -> None:
    """Let the process that holds a batch be gone."""
    db.row("UPDATE batches SET held_until = clock_timestamp() WHERE id = %s", (batch["id"],))


def long_ago() -> None:
    """Let what was sent have been sent ten minutes ago."""
    db.row("UPDATE batches SET sent_at = sent_at - interval '10 minutes'", ())


class Killed(BaseException):
    """Stands for the end of a process."""


class Dying:
    """Reads results until its process is killed."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, file: str) -> Iterator[LineEnd]:
        for each in results.results(file):
            if not self.left:
                raise Killed
            self.left -= 1
            yield each


def error(kernel: Kernel, workflow: UUID) -> Json:
    """Why a workflow has failed."""
    found: Json = kernel.workflow(workflow)["error"]
    return found


def limited(configure: Callable[..., Settings], **more: str) -> None:
    """Set these variables of the same installation."""
    ours = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
    configure(**ours, **more)
