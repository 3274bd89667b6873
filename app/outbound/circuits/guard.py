"""The circuits as one process uses them: what it knows of them, and the calls that it makes now.

What a circuit has answered is used for FRESH_SECONDS. A thread reports the calls that have ended
and those that hang, all in one round trip. It lives only while there are calls. The time in which
this process could not run is no time of a call (lateness.py).
"""

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from app import telemetry
from app.errors import NotServed
from app.outbound.circuits.core import CLOSED, OPEN, Report, View
from app.outbound.circuits.lateness import Lateness
from app.outbound.circuits.spreading import Spread
from app.outbound.circuits.stores import ANSWER_SECONDS, Name, Stores
from app.outbound.circuits.telling import CLOSE_SECONDS, Change, Teller

log = telemetry.logger(__name__)

FRESH_SECONDS = 0.25
TICK_SECONDS = 0.1
_IDLE_SECONDS = 2.0
"""The thread ends if there was no call for so long."""
_LEASE_MARGIN_SECONDS = 2.0
_WHY_CHARACTERS = 200


@dataclass(eq=False)
class Passage:
    """A call that a circuit has let through. `token` is its leave, if the circuit is half open.

    `late` is how late the process had been when the call began.
    """

    name: Name
    epoch: int
    began: float
    late: float
    slow_seconds: float
    token: str = ""

    def seconds(self, late: float) -> float:
        """How long the platform has had for the call, if the process has been so late in all."""
        return time.monotonic() - self.began - (late - self.late)


@dataclass(frozen=True)
class _Seen:
    """What a circuit answered, and the time.monotonic() before which that was."""

    view: View
    at: float

    def left(self, when: int) -> float:
        """The seconds that are left until a time of the circuit's clock; 0 if it is over."""
        return max(0.0, (when - self.view.now) / 1000.0 - (time.monotonic() - self.at))


@dataclass
class _Ended:
    """The calls of an epoch that have ended and are not reported yet."""

    epoch: int
    calls: int = 0
    bad: int = 0
    why: str = ""


class Guard:
    """Lets calls through circuits, and reports how they ended. Threads share it."""

    def __init__(self, stores: Stores, tell: Callable[[Change], None]) -> None:
        """`tell` is called by a thread of its own, once for each change that this process made. It
        may wait."""
        self._stores, self._teller = stores, Teller(tell)
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._reporter = uuid4().hex[:12]
        self._seen: dict[Name, _Seen] = {}
        self._used: dict[Name, float] = {}
        self._running: set[Passage] = set()
        self._ended: dict[Name, _Ended] = {}
        self._hung: set[Name] = set()
        self._lateness, self._spread = Lateness(), Spread()
        self._thread: threading.Thread | None = None
        self._is_closed = threading.Event()

    def enter(self, name: Name, slow_seconds: float) -> Passage:
        """Let a call through. After `slow_seconds` it counts as slow, even while it runs.

        Raises NotServed, with code `circuit_open`, if the circuit does not let it through.
        """
        seen = self._fresh(name)
        if seen.view.state != CLOSED:
            passage = self._try(name, slow_seconds, seen)
        else:
            passage = self._passage(name, seen.view.epoch, slow_seconds)
        with self._lock:
            self._running.add(passage)
        self._ensure_thread()
        return passage

    def check(self, name: Name) -> None:
        """Raise NotServed, with code `circuit_open`, if the circuit would not let a call through.

        Takes no leave, so `enter` may still refuse a call.
        """
        seen = self._fresh(name)
        if _is_held(seen):
            telemetry.CALLS_NOT_MADE.labels(*name).inc()
            raise self._refusal(name, seen)

    def leave(self, passage: Passage, *, is_served: bool | None, why: str = "") -> None:
        """Take note that a call has ended: served, failed, or None if that says nothing of the
        platform. `why` is for people."""
        seconds = passage.seconds(self._lateness.seconds())
        is_good = is_served
        if is_served and seconds > passage.slow_seconds:
            is_good, why = False, f"it took {seconds:.1f} s"
        with self._lock:
            is_held = passage in self._running
            self._running.discard(passage)
            if not passage.token and is_good is not None:
                self._add(passage, is_good=is_good, why=why[:_WHY_CHARACTERS])
        if passage.token and is_held:
            verdict = -1 if is_good is None else int(is_good)
            self._turn([(passage.name, _of_trial(passage, verdict, why[:_WHY_CHARACTERS]))])
        self._ensure_thread()

    def close(self) -> None:
        """End the thread, after it has reported what is left, and close the connections."""
        self._is_closed.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=CLOSE_SECONDS)
        self._teller.close()
        self._stores.close()

    def _add(self, passage: Passage, *, is_good: bool, why: str) -> None:
        seen = self._seen[passage.name]
        if passage.epoch != seen.view.epoch:
            return  # it began before the circuit opened: it says nothing of what is now
        ended = self._ended.setdefault(passage.name, _Ended(passage.epoch))
        if ended.epoch != passage.epoch:
            ended = self._ended[passage.name] = _Ended(passage.epoch)
        ended.calls += 1
        if not is_good:
            ended.bad, ended.why = ended.bad + 1, why

    def _fresh(self, name: Name) -> _Seen:
        self._used[name] = time.monotonic()
        seen = self._seen.get(name)
        if seen is None or _is_old(seen):
            with self._asking:  # the other threads of the process wait for the same answer
                seen = self._seen.get(name)
                if seen is None or _is_old(seen):
                    self._turn([(name, Report(self._reporter, epoch=-1))])
                    seen = self._seen[name]
        return seen

    def _try(self, name: Name, slow_seconds: float, seen: _Seen) -> Passage:
        """Ask for leave to try whether the platform serves again. Raises NotServed."""
        if not _is_held(seen):
            lease_ms = round((slow_seconds + _LEASE_MARGIN_SECONDS) * 1000)
            token = uuid4().hex
            asked = Report(self._reporter, epoch=-1, wants=token, lease_ms=lease_ms)
            (view,) = self._turn([(name, asked)])
            if view.is_granted or view.state == CLOSED:
                passed = token if view.is_granted else ""
                return self._passage(name, view.epoch, slow_seconds, passed)
            seen = self._seen[name]
        telemetry.CALLS_NOT_MADE.labels(*name).inc()
        raise self._refusal(name, seen)

    def _refusal(self, name: Name, seen: _Seen) -> NotServed:
        """Why a call is not made, and when one may be."""
        (platform, operation), view = name, seen.view
        if view.state == OPEN:
            left = seen.left(view.until)
            at = datetime.now(UTC) + timedelta(seconds=left)
            when = f"the next call is made after {at:%H:%M:%S} UTC"
            after = self._spread.after(name, left, max(0.5, left / 5.0))
        else:
            when = "another call tries whether it serves again"
            after = self._spread.after(name, 1.0, 1.0)
        return NotServed(
            f"{platform} is not asked for {operation}: {view.why}; {when}",
            code="circuit_open",
            after=after,
        )

    def _passage(self, name: Name, epoch: int, slow_seconds: float, token: str = "") -> Passage:
        late = self._lateness.seconds()
        return Passage(name, epoch, time.monotonic(), late, slow_seconds, token)

    def _turn(self, asked: list[tuple[Name, Report]]) -> list[View]:
        at = time.monotonic()
        views = self._stores.turn(asked)
        with self._lock:
            for (name, _), view in zip(asked, views, strict=True):
                self._seen[name] = _Seen(view, at)
        for (name, _), view in zip(asked, views, strict=True):
            if view.change:
                self._teller.add(_change(name, view))
        return views

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._report_on, daemon=True, name="circuits"
                )
                self._thread.start()

    def _report_on(self) -> None:
        # It ends when there are no calls, so that no process keeps it for nothing.
        self._lateness.expect(TICK_SECONDS)
        while not self._is_closed.wait(TICK_SECONDS):
            try:
                self._lateness.expect(2 * ANSWER_SECONDS)
                self._flush()
            except Exception as err:  # without this thread no circuit would open
                log.error("circuits.not_reported", exc_info=err)
            self._lateness.expect(TICK_SECONDS)
            with self._lock:
                if self._is_idle():
                    self._lateness.expect(math.inf)
                    self._thread = None
                    return
        self._flush()

    def _is_idle(self) -> bool:
        latest = max(list(self._used.values()), default=0.0)
        is_quiet = time.monotonic() - latest > _IDLE_SECONDS
        left = self._running or self._ended or self._hung
        return is_quiet and not left

    def _flush(self) -> None:
        now = time.monotonic()
        with self._lock:
            ended, self._ended = self._ended, {}
            late = self._lateness.seconds()
            slow = [each for each in self._running if each.seconds(late) > each.slow_seconds]
            trials = [each for each in slow if each.token]
            # Such a call has been judged. How it ends changes nothing any more.
            self._running.difference_update(trials)
            hung = {each.name: self._hanging(each.name, slow) for each in slow if not each.token}
            names = {*ended, *hung, *self._hung}
            names |= {name for name, at in list(self._used.items()) if now - at < _IDLE_SECONDS}
            self._hung = {name for name, (count, _) in hung.items() if count}
            epochs = {name: seen.view.epoch for name, seen in self._seen.items()}
        asked = [(name, self._report(name, ended, hung, epochs)) for name in sorted(names)]
        asked += [(each.name, _of_trial(each, 0, _no_answer(each))) for each in trials]
        if asked:
            self._turn(asked)

    def _hanging(self, name: Name, slow: list[Passage]) -> tuple[int, str]:
        """How many calls of the present epoch hang, and why that is bad."""
        epoch = self._seen[name].view.epoch
        found = [
            each for each in slow if each.name == name and each.epoch == epoch and not each.token
        ]
        return len(found), _no_answer(found[0]) if found else ""

    def _report(
        self,
        name: Name,
        ended: dict[Name, _Ended],
        hung: dict[Name, tuple[int, str]],
        epochs: dict[Name, int],
    ) -> Report:
        epoch = epochs.get(name, -1)
        made = ended.get(name) or _Ended(epoch)
        if made.epoch != epoch:
            made = _Ended(epoch)
        count, why = hung.get(name, (0, ""))
        return Report(
            self._reporter,
            epoch,
            made.calls,
            made.bad,
            count,
            made.why or why,
            permille=random.randrange(1000),
        )


def _is_old(seen: _Seen) -> bool:
    return time.monotonic() - seen.at > FRESH_SECONDS


def _is_held(seen: _Seen) -> bool:
    """Whether the circuit lets no call through, not even one that tries it."""
    view = seen.view
    waits_for = {OPEN: view.until, CLOSED: view.now}.get(view.state, view.leased)
    return seen.left(waits_for) > 0


def _of_trial(passage: Passage, verdict: int, why: str) -> Report:
    return Report(
        epoch=-1,
        token=passage.token,
        verdict=verdict,
        why=why,
        permille=random.randrange(1000),
    )


def _no_answer(passage: Passage) -> str:
    return f"no answer within {passage.slow_seconds:g} s"


def _change(name: Name, view: View) -> Change:
    until = datetime.fromtimestamp(view.until / 1000.0, UTC) if view.state == OPEN else None
    return Change(*name, view.change, view.why, until, view.now)
