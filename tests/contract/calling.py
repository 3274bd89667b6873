"""Processes that call a platform as fast as they may, and what became of each call.

`python -m tests.contract.calling PLATFORM BEGAN SECONDS THREADS RATE`: a line of JSON, [[seconds
since BEGAN, "new", "ok", "refused" or "held"], ...]. RATE new calls are made in each second; with 0
each thread makes them one after the other. What our limiter holds back comes again when it may.
"""

import heapq
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import tasks.openai.client
import tasks.stripe.client
from app.errors import NotServed
from app.outbound import limits
from app.settings import current

Call = tuple[float, str]

START_SECONDS = 20.0
"""The processes take long to start."""
MODEL = "gpt-6-luna"
SHORT_TOKENS, LONG_TOKENS = 16, 2_000


def _write(most_tokens: int) -> None:
    said = [{"role": "user", "content": "A circus in the rain"}]
    openai = tasks.openai.client.api()
    openai.complete(MODEL, said, most_tokens, uuid4().hex, tier="default")


_CALLS: dict[str, Callable[[], object]] = {
    "stripe": lambda: tasks.stripe.client.api().refunds_of("pi_none"),
    "openai": lambda: _write(SHORT_TOKENS),
    "openai_long": lambda: _write(LONG_TOKENS),
}


def together(
    platform: str, seconds: float, processes: int, threads: int, rate: float = 0.0
) -> list[Call]:
    """Let so many processes with so many threads call at once, with this process's settings; all
    together make `rate` new calls in each second."""
    began = time.time() + START_SECONDS
    command = [sys.executable, "-m", "tests.contract.calling", platform]
    command += [str(began), str(seconds), str(threads), str(rate / processes)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
        for _ in range(processes)
    ]
    patience = START_SECONDS + seconds + 60.0
    try:
        told = [one.communicate(timeout=patience)[0] for one in running]
    finally:
        for one in running:
            one.kill()
            one.wait(10)
    lines = [each.splitlines() for each in told]
    for each in lines:
        print(*each[:-1], sep="\n", end="")  # what a process has logged
    return [(at, what) for each in lines for at, what in json.loads(each[-1])]


def again_and_again(call: Callable[[], object], began: float, until: float) -> list[Call]:
    """Call until the time is over."""
    made: list[Call] = []
    while time.time() < until:
        what, after = _outcome(call)
        made.append((time.time() - began, what))
        if what == "held":
            time.sleep(min(after, max(0.0, until - time.time())))
    return made


def _outcome(call: Callable[[], object]) -> tuple[str, float]:
    """What becomes of a call, and after how many seconds it may come again."""
    try:
        call()
    except NotServed as err:
        return ("refused" if "answered 429" in err.message else "held"), err.after or 0.0
    return "ok", 0.0


class Steady:
    """So many new calls in each second, whatever becomes of the others."""

    def __init__(self, call: Callable[[], object], began: float, until: float, rate: float) -> None:
        self._call, self._began, self._until = call, began, until
        number = int(rate * (until - began))
        self._due = [(began + each / rate, False) for each in range(number)]
        self._lock = threading.Lock()
        self._made: list[Call] = []

    def calls(self, pool: ThreadPoolExecutor) -> list[Call]:
        """Call until the time is over."""
        while (now := time.time()) < self._until:
            with self._lock:
                is_due = bool(self._due) and self._due[0][0] <= now
                _, is_again = heapq.heappop(self._due) if is_due else (0.0, False)
            if is_due:
                pool.submit(self._make, is_again=is_again)
            else:
                time.sleep(0.01)
        pool.shutdown(cancel_futures=True)
        return self._made

    def _make(self, *, is_again: bool) -> None:
        if not is_again:
            self._made.append((time.time() - self._began, "new"))
        what, after = _outcome(self._call)
        self._made.append((time.time() - self._began, what))
        if what != "ok":
            with self._lock:
                heapq.heappush(self._due, (time.time() + after, True))


def main(platform: str, began: float, seconds: float, threads: int, rate: float) -> None:
    """Call with so many threads, and print the calls."""
    limits.share(current().redis_url)
    for each in (tasks.openai.client, tasks.stripe.client):
        if each.__name__.split(".")[1] == platform.partition("_")[0]:
            each.warm()
    time.sleep(max(0.0, began - time.time()))
    call, until = _CALLS[platform], began + seconds
    with ThreadPoolExecutor(threads) as pool:
        if rate:
            made = Steady(call, began, until, rate).calls(pool)
        else:
            running = [pool.submit(again_and_again, call, began, until) for _ in range(threads)]
            made = [each for one in running for each in one.result()]
    print(json.dumps([each for each in made if each[0] <= seconds]))
    limits.forget()


if __name__ == "__main__":
    _, chosen, at, lasting, many, often = sys.argv
    main(chosen, float(at), float(lasting), int(many), float(often))
