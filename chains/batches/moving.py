"""Moves one batch on, as far as it goes now, through the states of its row."""

import time

import structlog

from app.batches import rows
from app.batches.rows import Batch
from app.errors import NotConfigured, NotServed, Permanent, Retryable, Unknown
from app.outbound.http import exchange_scope
from app.platform.batches import Batches, Bounds, LineEnd
from app.protocol import platforms
from chains.batches.ending import Ending

log = structlog.get_logger()

CALL_SECONDS = 240.0
"""The limit of one call to the platform: files are large."""
LAG_SECONDS = 60.0
"""So long after a call is over, the platform's list may not have what the call has made."""
LONGEST_POLL_SECONDS = 3600.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 10.0, 900.0
MOST_REFUSALS = 20
"""So often in a row the platform may refuse to tell of a batch before the batch is given up."""
_MOST_OUTAGES = 8
"""So many failures at most are counted of a platform that is away: the pause is the longest then.
However long that lasts, it is no refusal."""
_LOOK_AGAIN_SECONDS = 15.0

_BEFORE = {"uploading": "gathered", "creating": "uploaded"}
"""The state to which a sending goes back that was refused, or never arrived."""


class Mover:
    """A process that holds a batch."""

    def __init__(self, platform: str, vendor: Batches, bounds: Bounds, batch: Batch) -> None:
        self.platform, self.vendor, self.bounds = platform, vendor, bounds
        self.batch = batch
        self.ending = Ending(platform, bounds)
        self._is_sending = False
        """Whether the present call may take effect, so that a refusal says that it has not."""
        self._steps = {
            "gathered": self._upload,
            "uploading": self._find_upload,
            "uploaded": self._create,
            "creating": self._find,
            "running": self._look,
            "reading": self._read,
            "clearing": self._clear,
        }

    def run(self) -> None:
        """Move the batch on until it must wait. Raises Lost if another process holds it by now."""
        try:
            while self._step():
                pass
        except Unknown as err:
            self._put_off(_LOOK_AGAIN_SECONDS, error=err.message, most=_MOST_OUTAGES)
        except (NotServed, NotConfigured, Retryable) as err:
            self._refused(err)
        except Permanent as err:
            self._permanent(err)

    def _step(self) -> bool:
        """Do what follows in the batch's state; whether it goes on at once."""
        rows.hold(self.batch, CALL_SECONDS + LAG_SECONDS)
        with exchange_scope(time.monotonic() + CALL_SECONDS, []):
            return self._steps[self.batch.state]()

    # What is sent. Each is recorded before, as a state of its own.

    def _upload(self) -> bool:
        """Send the lines that are still wanted; the others cost nothing."""
        opened = rows.open_upload(self.batch)
        if opened is None:
            return self._to_clearing()
        self.batch = opened
        self._is_sending = True
        file = self.vendor.upload(self.batch.reference, rows.lines(self.batch))
        self._is_sending = False
        self.batch = rows.move(self.batch, "uploaded", file_id=file)
        return True

    def _create(self) -> bool:
        if not self.batch.has_wanted:
            return self._give_up("dropped", "no step waits for a line of the batch any more")
        self.batch = rows.move(self.batch, "creating")
        assert self.batch.file_id is not None
        reference, file, endpoint = self.batch.reference, self.batch.file_id, self.batch.endpoint
        self._is_sending = True
        made = self.vendor.create(reference, file, endpoint)
        self._is_sending = False
        self.batch = rows.move(self.batch, "running", external_id=made)
        log.info("batches.created", platform=self.platform, **self._named())
        # It is looked at once more: its webhook may have come before its id was recorded.
        return True

    def _find_upload(self) -> bool:
        assert self.batch.sent_at is not None
        found = self.vendor.find_upload(self.batch.reference, self.batch.sent_at)
        if found is None:
            return self._send_again()
        log.warning("batches.file_adopted", platform=self.platform, **self._named())
        self.batch = rows.move(self.batch, "uploaded", file_id=found)
        return True

    def _find(self) -> bool:
        assert self.batch.sent_at is not None
        found = self.vendor.find(self.batch.reference, self.batch.sent_at)
        if found is None:
            return self._send_again()
        log.warning("batches.adopted", platform=self.platform, found=found, **self._named())
        self.batch = rows.move(self.batch, "running", external_id=found)
        return True

    def _send_again(self) -> bool:
        """The platform lists nothing: the call is made again once it cannot take effect any
        more."""
        left = CALL_SECONDS + LAG_SECONDS - (self.batch.age or 0.0)
        if left > 0:
            self._put_off(min(left, _LOOK_AGAIN_SECONDS))
            return False
        self.batch = rows.move(self.batch, _BEFORE[self.batch.state])
        return True

    # What the platform does, and what has become of it.

    def _look(self) -> bool:
        assert self.batch.external_id is not None
        seen = self.vendor.look(self.batch.external_id)
        if seen.ending is None:
            if not self.batch.has_wanted:
                self.vendor.cancel(self.batch.external_id)
            pause = min(max(self.bounds.poll_seconds, self.batch.old / 10), LONGEST_POLL_SECONDS)
            self._put_off(pause, done=seen.done)
            return False
        named = {"ending": seen.ending, "result_files": list(seen.files), "done": seen.done}
        self.batch = rows.move(self.batch, "reading", **named)
        log.info("batches.ended", platform=self.platform, ending=seen.ending, **self._named())
        return True

    def _read(self) -> bool:
        batch = self.batch
        assert batch.external_id is not None
        if batch.ending == "failed":
            self.ending.refused(batch, self.vendor.look(batch.external_id).faults)
        for file in batch.result_files or ():
            self.ending.record(batch, self.vendor.results(file))
        self.ending.missing(batch)
        return self._to_clearing()

    def _clear(self) -> bool:
        for file in (self.batch.file_id, *(self.batch.result_files or ())):
            if file is not None:
                self.vendor.delete(file)
        rows.end(self.batch)
        return False

    def _to_clearing(self) -> bool:
        self.ending.wake_all(self.batch)
        self.batch = rows.move(self.batch, "clearing")
        return True

    def _give_up(self, code: str, message: str, *, is_paid: bool = False) -> bool:
        """End all lines that are left, each by this error. `is_paid`: the platform has worked on
        them, and what that has cost will not be known."""
        error, cost = {"code": code, "message": message}, None if is_paid else 0
        while ids := rows.left(self.batch, 100):
            ends = [LineEnd(str(each), "failed", error=error, cost=cost) for each in ids]
            self.ending.record(self.batch, iter(ends))
        return self._to_clearing()

    # What the platform refuses.

    def _refused(self, err: NotServed | NotConfigured | Retryable) -> None:
        """Nothing has happened now: the batch waits, and goes back to before a sending."""
        after = None if isinstance(err, NotConfigured) else err.after
        if isinstance(err, NotServed) and not err.ends_by_itself:
            log.error("platform.refuses", platform=self.platform, code=err.code, why=err.message)
            platforms.report(self.platform, err.message)
        # What was refused while an earlier call is looked for says nothing about that call.
        state = _BEFORE[self.batch.state] if self._is_sending else None
        pause = max(after or 0.0, self._pause())
        self._put_off(pause, state=state, error=err.message, most=_MOST_OUTAGES)

    def _permanent(self, err: Permanent) -> None:
        if self.batch.state == "clearing":
            # What is left there costs little; it is forgotten after a while.
            if self.batch.failures >= MOST_REFUSALS:
                log.error("batches.files_left", platform=self.platform, **self._named())
                rows.end(self.batch)
                return
        elif self._is_sending or self._may_be_given_up():
            log.error("batches.refused", platform=self.platform, why=err.message, **self._named())
            is_paid = self._may_be_paid()
            self._give_up(err.code, f"the batch was refused: {err.message}", is_paid=is_paid)
            self._put_off(0.0)
            return
        self._put_off(self._pause(), error=err.message)

    def _pause(self) -> float:
        return min(_SHORTEST_PAUSE * 2.0 ** min(self.batch.failures, 10), _LONGEST_PAUSE)

    def _may_be_given_up(self) -> bool:
        """Whether the platform has refused for long to tell of a batch. One that may have been
        made, and whose id is not known, is looked for without end."""
        return self.batch.failures >= MOST_REFUSALS and self.batch.state != "creating"

    def _may_be_paid(self) -> bool:
        """Whether the platform may have worked on lines: it has the batch, and has not refused its
        file."""
        return self.batch.state in ("running", "reading") and self.batch.ending != "failed"

    def _put_off(
        self,
        seconds: float,
        *,
        state: str | None = None,
        error: str | None = None,
        done: int | None = None,
        most: int | None = None,
    ) -> None:
        rows.put_off(self.batch, seconds, state=state, error=error, done=done, most_failures=most)

    def _named(self) -> dict[str, str | None]:
        return {"batch": self.batch.reference, "external_id": self.batch.external_id}
