"""Records how the lines of a batch have ended, some at a time, and wakes their steps.

Invariant: a line ends once, and its step is woken after that was committed. Whoever reads the same
results again changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import structlog

from app.batches import rows
from app.batches.rows import Batch
from app.card_numbers import without_card_numbers
from app.payload import MAX_BYTES, clean, text_of
from app.platform import Json
from app.platform.batches import Bounds, Fault, LineEnd
from app.protocol import platforms
from chains import waking

log = structlog.get_logger()

CHUNK_LINES, CHUNK_BYTES = 100, 2 * 1024 * 1024
"""So many lines are recorded in one transaction, and so much of their answers."""
HOLD_SECONDS = 300.0
AGAIN_SECONDS = 60.0
"""A line to which the platform has not come waits so long for its next batch."""
FULL_SECONDS = 900.0
"""The pause if the platform has too much to do for us already, or is not paid."""


class Ending:
    """Ends lines of batches of a platform."""

    def __init__(self, platform: str, bounds: Bounds) -> None:
        self.platform, self.bounds = platform, bounds

    def record(self, batch: Batch, ends: Iterator[LineEnd]) -> None:
        """Record what became of lines. Raises Lost if another process holds the batch by now."""
        chunk: list[Json] = []
        size = 0
        unpaid: LineEnd | None = None
        for each in ends:
            unpaid = each if each.is_unpaid else unpaid
            given = self._given(each)
            if given is None:
                log.warning("batches.foreign_line", batch=batch.reference, line=each.line[:80])
                continue
            chunk.append(given)
            size += len(text_of(given))
            if len(chunk) >= CHUNK_LINES or size >= CHUNK_BYTES:
                self._commit(batch, chunk)
                chunk, size = [], 0
        self._commit(batch, chunk)
        if unpaid is not None and unpaid.error is not None:
            self._call_a_person(str(unpaid.error["code"]), str(unpaid.error["message"]))

    def _call_a_person(self, code: str, message: str) -> None:
        """Say that the platform serves nobody until somebody pays."""
        log.error("platform.refuses", platform=self.platform, code=code, why=message)
        platforms.report(self.platform, message)

    def refused(self, batch: Batch, faults: Sequence[Fault]) -> None:
        """End the lines of a batch that its platform has refused: those that it names by their
        errors. The others wait for another batch, unless the error is of the batch as a whole."""
        named = {each.line: each for each in faults if each.line is not None and not each.passes}
        lines = rows.numbered(batch, list(named))
        ends = [self._faulty(lines[n], fault) for n, fault in named.items() if n in lines]
        self.record(batch, iter(ends))
        whole = next((each for each in faults if each.line is None or each.passes), None)
        if not faults:
            whole = Fault("batch_failed", "the platform does not say why")
        if whole is not None and not whole.passes:
            self._all_left(batch, "failed", whole.code, f"the batch failed: {whole.message}")
        elif whole is not None:
            log.warning("batches.put_back", platform=self.platform, why=whole.message)
            if whole.is_unpaid:
                self._call_a_person(whole.code, whole.message)
            self._put_back(batch, whole)
        elif ends:
            why = "the batch was refused because of others of its lines"
            self._all_left(batch, "again", "batch_refused", why, is_counted=False)

    def missing(self, batch: Batch) -> None:
        """End the lines that no file of results has. What those of a completed batch have cost is
        not known: it counts as their ceilings."""
        if batch.ending == "expired":
            why = "the batch expired before the platform came to the line"
            self._all_left(batch, "again", "batch_expired", why)
        elif batch.ending == "cancelled":
            why = "the batch was cancelled at the platform"
            self._all_left(batch, "failed", "batch_cancelled", why)
        else:
            left = self._all_left(
                batch,
                "failed",
                "line_missing",
                f"neither file of the results of batch {batch.external_id} has the line",
                cost=None if batch.ending == "completed" else 0,
            )
            if left:
                log.error("batches.lines_missing", batch=batch.reference, number=left)

    def wake_all(self, batch: Batch) -> None:
        """Wake the steps that still wait for lines which have ended: a process may have died before
        it woke them."""
        last: UUID | None = None
        while ids := rows.asleep(batch, last, CHUNK_LINES):
            rows.hold(batch, HOLD_SECONDS)
            self._wake(ids)
            last = ids[-1]

    def _commit(self, batch: Batch, chunk: list[Json]) -> None:
        if chunk:
            rows.hold(batch, HOLD_SECONDS)
            self._with_costs(chunk)
            self._wake(rows.end_lines(batch, chunk, self.bounds.tries))

    def _wake(self, ids: Iterable[UUID]) -> None:
        for each in ids:
            waking.wake(self.platform, str(each))

    def _with_costs(self, chunk: list[Json]) -> None:
        """Count lines whose cost cannot be known at their ceilings."""
        unknown = [UUID(each["id"]) for each in chunk if each["cost"] is None]
        if unknown:
            most = rows.ceilings(unknown)
            for each in chunk:
                each["cost"] = (
                    most.get(UUID(each["id"]), 0) if each["cost"] is None else each["cost"]
                )

    def _given(self, end: LineEnd) -> Json | None:
        """The end of a line as it is recorded; None if it is no line of ours."""
        try:
            line = UUID(end.line)
        except ValueError:
            return None
        masked = f"answer of {self.platform}"
        answer: Any = (
            None if end.answer is None else without_card_numbers(clean(end.answer), masked)
        )
        state, error = end.state, end.error
        if answer is not None and len(text_of(answer).encode()) > MAX_BYTES:
            state, answer = "failed", None
            error = {
                "code": "answer_too_large",
                "message": f"the answer has over {MAX_BYTES} bytes",
            }
        return {
            "id": str(line),
            "state": state,
            "answer": answer,
            "error": None if error is None else without_card_numbers(clean(error), masked),
            "cost": end.cost,
            "model": end.model,
            "is_counted": not end.is_unpaid,
            "after": FULL_SECONDS if end.is_unpaid else AGAIN_SECONDS,
        }

    @staticmethod
    def _faulty(line: UUID, fault: Fault) -> LineEnd:
        return LineEnd(
            str(line),
            "failed",
            error={"code": fault.code, "message": f"line refused: {fault.message}"},
        )

    def _all_left(
        self,
        batch: Batch,
        state: str,
        code: str,
        message: str,
        *,
        is_counted: bool = True,
        cost: int | None = 0,
    ) -> int:
        """End all lines that have not ended; how many."""
        number = 0
        while ids := rows.left(batch, CHUNK_LINES):
            chunk = [_left(each, state, code, message, is_counted) for each in ids]
            self._commit(batch, [each | {"cost": cost} for each in chunk])
            number += len(ids)
        return number

    def _put_back(self, batch: Batch, fault: Fault) -> None:
        """Let the lines wait, the second half for longer than the first: a batch that is too large
        for what the platform still takes comes in two."""
        number = 0
        while ids := rows.left(batch, CHUNK_LINES):
            chunk = [_left(each, "again", fault.code, fault.message, False) for each in ids]
            for each in chunk:
                number += 1
                each["after"] = FULL_SECONDS * (1 if number * 2 <= batch.lines else 2)
            self._commit(batch, chunk)


def _left(line: UUID, state: str, code: str, message: str, is_counted: bool) -> Json:
    return {
        "id": str(line),
        "state": state,
        "answer": None,
        "error": {"code": code, "message": message},
        "cost": 0,
        "model": None,
        "is_counted": is_counted,
        "after": AGAIN_SECONDS,
    }
