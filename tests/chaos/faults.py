"""Carries out a plan: each strike hits the processes, and the steps that it hit are noted.

Workers are frozen before they are killed, so that what is sampled is what they had in hand.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import redis

from tests.chaos.plan import (
    APART_SECONDS,
    CHILDREN,
    STALLS,
    STORES,
    WANTED,
    WORKERS,
    Kind,
    Plan,
    Strike,
)
from tests.chaos.stack import InHand, Instance, plan_fault
from tests.chaos.watch import Hit, Running, Watch
from tests.e2e.stack import Json

AIMS = 4
BETWEEN_SECONDS = 2.0
READY_SECONDS = 60.0


@dataclass
class Done:
    """How a strike went; times are seconds since the epoch."""

    strike: Strike
    began_at: float
    hits: list[Hit]
    ended_at: float | None = None

    def end(self) -> None:
        """The fault is over: from here on its steps recover."""
        self.ended_at = time.time()
        for hit in self.hits:
            hit.ended_at = self.ended_at


@dataclass
class _Stall:
    """Processes that are stopped until a moment."""

    done: Done
    worker: str
    until: float
    pids: list[int]
    is_group: bool

    def end(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if self.is_group else os.kill)(pid, signal.SIGCONT)
        self.done.end()


@dataclass
class Executor:
    """Runs strikes and vendors' faults in their threads until both are through."""

    instance: Instance
    watch: Watch
    plan: Plan
    own_faults: list[Json]
    """Of the mix: they stay planned until they have hit."""
    vendor_hits: Counter[str] = field(default_factory=Counter)
    vendor_faults: Counter[str] = field(default_factory=Counter)
    done: list[Done] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stalls: list[_Stall] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _store_at: float = -APART_SECONDS
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, began: float) -> None:
        """Begin; `began` is the monotonic time of the run's start."""
        for run in (self._strike_all, self._plan_vendor_faults):
            thread = threading.Thread(target=self._guarded, args=(run, began), name="faults")
            self._threads.append(thread)
            thread.start()

    def finish(self) -> None:
        """Wait until the last fault is over."""
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Stop, and let go on what is stalled."""
        self._stopping.set()
        self.finish()
        for stall in self._stalls:
            stall.end()

    def _guarded(self, run: Callable[[float], None], began: float) -> None:
        try:
            run(began)
        except Exception as err:  # noqa: BLE001 - a run whose faults did not happen proves nothing
            self.failures.append(f"{type(err).__name__}: {err}"[:2000])

    def _plan_vendor_faults(self, began: float) -> None:
        for fault in self.plan.vendor_faults:
            if self._sleep_until(began + fault.at):
                return
            plan_fault(self.instance.stack, fault.entry)
        if not self._sleep_until(began + self.plan.calm_at):
            self._calm()

    def _calm(self) -> None:
        """Note what the vendors' faults hit, and end them."""
        control = self.instance.stack.control
        known: list[Json] = control("GET", "/faults")["faults"]
        control("DELETE", "/faults")
        hit = {each.get("match") for each in known if each["hits"]}
        for fault in self.own_faults:
            if fault["match"] not in hit:
                plan_fault(self.instance.stack, fault)
        for each in known:
            self.vendor_hits[each["kind"]] += each["hits"]
            self.vendor_faults[each["kind"]] += 1

    def _strike_all(self, began: float) -> None:
        for strike in self.plan.strikes:
            if self._sleep_until(began + strike.at):
                return
            self._strike(strike)
        while self._stalls:
            if self._sleep_until(min(stall.until for stall in self._stalls)):
                return

    def _sleep_until(self, moment: float) -> bool:
        """Sleep, and end the stalls that come due meanwhile; whether to stop."""
        while not self._stopping.is_set():
            now = time.monotonic()
            if threading.current_thread() is self._threads[0]:
                for stall in [each for each in self._stalls if each.until <= now]:
                    self._stalls.remove(stall)
                    stall.end()
            if now >= moment:
                return False
            self._stopping.wait(min(0.2, moment - now))
        return True

    def _strike(self, strike: Strike) -> None:
        if strike.kind in STORES and self._sleep_until(self._store_at + APART_SECONDS):
            return
        if strike.kind in STALLS:
            # With both workers stopped nobody would take over what a zombie comes back to.
            while self._stalls:
                if self._sleep_until(min(stall.until for stall in self._stalls)):
                    return
        done = Done(strike, time.time(), [])
        match strike.kind:
            case Kind.CHILD_KILLED | Kind.CHILDREN_STALLED:
                self._at_children(strike, done)
            case Kind.WORKER_KILLED | Kind.WORKER_STALLED:
                self._at_worker(strike, done)
            case _:
                self._at_server(strike, done)
        if strike.kind in STORES:
            self._store_at = time.monotonic()
        self.done.append(done)
        print(f"  {strike.kind}: {len(done.hits)} running steps hit", file=sys.stderr, flush=True)
        self._sleep_until(time.monotonic() + BETWEEN_SECONDS)

    # Whole servers: all that runs is hit.

    def _at_server(self, strike: Strike, done: Done) -> None:
        running = self._aim(WANTED[strike.kind])
        done.began_at = time.time()
        done.hits = self.watch.hit(strike.kind, running, done.began_at)
        stack, broker = self.instance.stack, self.instance.broker
        match strike.kind:
            case (
                Kind.BEAT_KILLED
                | Kind.WEB_KILLED
                | Kind.RECONCILER_KILLED
                | Kind.HOOKS_KILLED
                | Kind.POSTGRES_KILLED
            ):
                name = strike.kind.partition("_")[0]
                stack.kill(name)
                stack.await_ready(name, seconds=READY_SECONDS)
            case Kind.POSTGRES_RESTARTED:
                stack.core.restart("postgres")
            case Kind.VALKEY_FLUSHED:
                with contextlib.suppress(redis.RedisError):
                    stack.flush_valkey()
            case Kind.VALKEY_RESTARTED:
                broker.restart()
            case Kind.VALKEY_AWAY:
                broker.stop()
                self._sleep_until(time.monotonic() + strike.seconds)
                broker.start()
            case Kind.MESSAGES_DOUBLED:
                self.instance.copier.publish((step.workflow, step.key) for step in running)
        done.end()

    def _aim(self, wanted: int) -> list[Running]:
        """The steps that run, when there are enough of them or the time is up."""
        ends = time.monotonic() + self.plan.aim_seconds
        while True:
            running = self.watch.running()
            if len(running) >= wanted or time.monotonic() > ends:
                return running
            self._sleep_until(time.monotonic() + 0.1)

    # Workers: what they have in hand is hit.

    def _at_worker(self, strike: Strike, done: Done) -> None:
        worker = self._free(strike.worker)
        pid, hit = self._freeze_group(worker, WANTED[strike.kind])
        done.began_at = time.time()
        done.hits = self.watch.hit(strike.kind, hit, done.began_at, is_deadly=True)
        if strike.kind is Kind.WORKER_STALLED:
            self._stall(strike, done, worker, [pid], is_group=True)
            return
        self.instance.stack.kill(worker)
        done.end()

    def _freeze_group(self, worker: str, wanted: int) -> tuple[int, list[Running]]:
        """Stop a worker and its children in the midst of steps, if it can be met with some; its
        pid and these steps."""
        for left in reversed(range(AIMS)):
            self._aim(wanted)
            in_hand = self.instance.in_hand()
            pid = self.instance.stack.pid(worker)
            os.killpg(pid, signal.SIGSTOP)
            held = [each for each in in_hand if each.worker == worker]
            others = [each for each in in_hand if each.worker != worker]
            hit = _held(self.watch.running(), held, others)
            if hit or not left:
                return pid, hit
            os.killpg(pid, signal.SIGCONT)
            self._sleep_until(time.monotonic() + 0.5)
        raise AssertionError("unreachable")

    def _at_children(self, strike: Strike, done: Done) -> None:
        worker, wanted = self._free(strike.worker), CHILDREN[strike.kind]
        frozen: dict[int, Running] = {}
        for _ in range(AIMS):
            self._aim(WANTED[strike.kind])
            frozen |= self._freeze(worker, wanted - len(frozen), set(frozen))
            if len(frozen) >= wanted:
                break
        done.began_at = time.time()
        done.hits = self.watch.hit(strike.kind, frozen.values(), done.began_at, is_deadly=True)
        if strike.kind is Kind.CHILDREN_STALLED:
            self._stall(strike, done, worker, list(frozen), is_group=False)
            return
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        done.end()

    def _freeze(self, worker: str, most: int, known: set[int]) -> dict[int, Running]:
        """Stop up to `most` children in the midst of a step; by pid, the step that each holds."""
        in_hand = self.instance.in_hand()
        chosen = [each for each in in_hand if each.worker == worker and each.pid not in known]
        Random(len(in_hand)).shuffle(chosen)
        found: dict[int, Running] = {}
        for each in chosen[:most]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGSTOP)
                others = [other for other in in_hand if other is not each]
                hit = _held(self.watch.running(), [each], others)
                if hit:
                    found[each.pid] = hit[0]
                else:
                    os.kill(each.pid, signal.SIGCONT)
        return found

    def _free(self, worker: str) -> str:
        """The worker, or the other one while this one is stalled."""
        stalled = {stall.worker for stall in self._stalls}
        return worker if worker not in stalled else next(w for w in WORKERS if w != worker)

    def _stall(
        self, strike: Strike, done: Done, worker: str, pids: list[int], *, is_group: bool
    ) -> None:
        until = time.monotonic() + strike.seconds
        self._stalls.append(_Stall(done, worker, until, pids, is_group))


def _held(
    running: Iterable[Running], held: Iterable[InHand], others: Iterable[InHand]
) -> list[Running]:
    """The running steps behind messages in hand: their own, or links of their chain taken since."""
    mine = {(each.workflow, each.key) for each in held}
    workflows = {each.workflow for each in held}
    theirs = {(each.workflow, each.key) for each in others} - mine
    found = [
        step
        for step in running
        if step.workflow in workflows and (step.workflow, step.key) not in theirs
    ]
    return sorted(found, key=lambda step: (step.workflow, step.key) not in mine)
