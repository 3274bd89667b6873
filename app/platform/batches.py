"""Batches: many calls that a platform takes as one file, and answers within hours, for less.

A platform that has them gives its `Batches` to the carrier (chains/batches), which records each
effect before it is sent, and has the platform asked for what became of one whose answer was lost.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from app.platform.calls import Json


@dataclass(frozen=True)
class Bounds:
    """When lines are gathered, and how batches are watched.

    A batch is made of at most `lines` lines and `bytes` bytes: as soon as there are so many, or
    when the oldest has waited for `wait_seconds`. It is looked at every `poll_seconds` at most. A
    line to which the platform has not come is sent in at most `tries` batches.
    """

    lines: int
    bytes: int
    wait_seconds: float
    poll_seconds: float
    tries: int


@dataclass(frozen=True)
class Line:
    """A line of a batch: the recorded request of a call of a step."""

    id: UUID
    workflow_id: UUID
    step_key: str
    user_id: UUID
    request: Json


@dataclass(frozen=True)
class Fault:
    """Why a platform has refused a batch: because of its line `line`, from 1 on, or as a whole.

    One that `passes` says nothing about the lines: they are sent again later. `is_unpaid`: it
    passes once somebody has paid the platform.
    """

    code: str
    message: str
    line: int | None = None
    passes: bool = False
    is_unpaid: bool = False


@dataclass(frozen=True)
class Seen:
    """How a batch stands at its platform. `ending` is how it has ended; None while it runs.

    `done` are the lines that are done; `files` hold what became of the lines. The `faults` are
    those of a batch that has failed as a whole.
    """

    ending: Literal["completed", "failed", "expired", "cancelled"] | None
    done: int = 0
    files: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class LineEnd:
    """What became of the line `line` (the id of a Line), as a file of results says.

    `answer` is what the step gets. `error` is {code, message} if there is none: `failed` ends the
    line; `again`: the platform has not come to it, or could not serve it now. `cost` is in
    micro-USD, and `model` is what was paid for; a cost of None is not known, so that the ceiling of
    the line counts. `is_unpaid`: the platform serves no line until somebody pays, which is no try
    of this one.
    """

    line: str
    state: Literal["answered", "failed", "again"]
    answer: Json | None = None
    error: Json | None = None
    cost: int | None = 0
    model: str | None = None
    is_unpaid: bool = False


@dataclass(frozen=True)
class Batches:
    """What a platform does with batches. Each function raises the outcomes of app.errors.

    `reference` is ours, and unique: the platform keeps it with the file and with the batch, so that
    one whose answer was lost is found by it. `since` is when it was sent.

    - `bounds()`: see Bounds. Raises NotConfigured without a credential.
    - `upload(reference, lines)`: send the file; its id. Unknown if the answer is lost.
    - `find_upload(reference, since)`: the id of the file, or None if the platform lists none.
    - `create(reference, file, endpoint)`: ask for the batch; its id. Unknown if the answer is lost.
    - `find(reference, since)`: the id of the batch, or None if the platform lists none.
    - `look(batch)`: see Seen.
    - `results(file)`: what became of lines, one after the other.
    - `cancel(batch)`: let the platform do no further line; a second time changes nothing.
    - `delete(file)`: delete a file; one that is not there is no error.
    """

    bounds: Callable[[], Bounds]
    upload: Callable[[str, Iterable[Line]], str]
    find_upload: Callable[[str, datetime], str | None]
    create: Callable[[str, str, str], str]
    find: Callable[[str, datetime], str | None]
    look: Callable[[str], Seen]
    results: Callable[[str], Iterator[LineEnd]]
    cancel: Callable[[str], None]
    delete: Callable[[str], None]
