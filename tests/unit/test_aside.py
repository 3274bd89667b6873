"""Work that a child process does: its answers, its bounds, and either process's death."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from app.aside.child import thread_time
from app.files import images
from chains.language.patterns import keywords, matching
from chains.language.patterns.keywords import matches, pattern_fault
from chains.language.patterns.time_limits import TakesTooLong, check_time, time_limit
from tests.forked import CHECKOUT
from tests.processes import is_alive

LARGE = r"\w{90}x$"
TEXT = "a" * 10_000
ENDLESS = r"^(a+)+$(?!b)"
"""Only Python's own engine takes this; with many a's and an end that is none, it runs for days."""


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (LARGE, "é" * 90 + "x"),
        (LARGE, TEXT),
        (r"^\pL{3}", "\ud800abc"),
        (r"b$", "a" * 30_000 + "b"),
        (r"(?s)^.*\x00$", "\N{GRINNING FACE}\n" * 8_000 + "\0"),
        (r"^[a-z]{600}$", "a" * 600),
        (r"^\w+(?!\n)$", "word"),
        (r"^\w+(?!\n)$", "-"),
    ],
)
def test_a_child_finds_what_this_process_finds(pattern: str, text: str) -> None:
    found = matching._found(matching._either(pattern), text)
    assert matches(pattern, text) is found
    assert keywords._found_aside(pattern, text, True) is found
    assert keywords._found_aside(pattern, text, False) is found


@pytest.mark.parametrize("pattern", [LARGE, r"\pL{9}(", r"\pL{9}(?=a)", r"\pL{9}[b-a]"])
def test_a_child_refuses_what_this_process_refuses(pattern: str) -> None:
    assert pattern_fault(pattern) == matching.refusal(pattern)


def test_a_child_that_is_killed_is_replaced_even_within_a_job() -> None:
    assert not matches(LARGE, TEXT)
    before = _child()
    os.kill(before, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(matches, LARGE, "a" * 90 + "x")
        _until(lambda: keywords._child._turn.locked())
        os.kill(before, signal.SIGKILL)
        assert asked.result()
    assert _child() != before
    os.kill(_child(), signal.SIGKILL)
    assert matches(LARGE, "a" * 90 + "x")


def test_an_expression_that_runs_on_is_stopped_and_the_next_is_matched() -> None:
    with time_limit(0.1):
        with pytest.raises(TakesTooLong):
            matches(ENDLESS, "a" * 60 + "!")
        with pytest.raises(TakesTooLong):
            check_time()
    assert matches(LARGE, "a" * 90 + "x")


def test_the_time_of_a_child_counts_as_its_owners() -> None:
    matches(LARGE, TEXT)
    own, all_in_all = time.thread_time(), thread_time()
    # Ten times: one alone takes a fast machine less than the difference.
    for _ in range(10):
        matches(LARGE, TEXT)
    assert thread_time() - all_in_all > time.thread_time() - own + 0.005
    with time_limit(0.1), pytest.raises(TakesTooLong):
        _match_often()


@pytest.fixture
def counted() -> Iterator[list[int]]:
    """How often another thread, which often sleeps for a moment, has gone on.

    It gets Python's lock only while no other thread wants it.
    """
    count, ending = [0], threading.Event()

    def go_on() -> None:
        while not ending.wait(0.0002):
            count[0] += 1

    before, thread = sys.getswitchinterval(), threading.Thread(target=go_on)
    sys.setswitchinterval(10)
    thread.start()
    try:
        yield count
    finally:
        sys.setswitchinterval(before)
        ending.set()
        thread.join()


def test_other_threads_go_on_while_a_large_pattern_is_compiled_and_matched(
    counted: list[int],
) -> None:
    matches(LARGE, "a")  # the child is there
    before = counted[0]
    assert pattern_fault(r"\w{91}x$") is None
    compiled = counted[0]
    assert not matches(r"\w{92}y$", TEXT)
    assert compiled - before >= 3
    assert counted[0] - compiled >= 3


def test_a_child_decodes_a_picture() -> None:
    made = io.BytesIO()
    Image.new("RGB", (3000, 2000), "#804020").save(made, "WEBP")
    own, all_in_all = time.thread_time(), thread_time()
    assert images.clean(made.getvalue()).width == 3000
    assert thread_time() - all_in_all > 4 * (time.thread_time() - own)


OWNER = f"""
import os, sys, time
from app.files import images
from chains.language.patterns import keywords
keywords.matches({LARGE!r}, "a")
first = keywords._child.pid
if not os.fork():
    keywords.matches({LARGE!r}, "a")
    print(first, keywords._child.pid, flush=True)
time.sleep(60)
"""


def test_a_forked_process_has_a_child_of_its_own_and_no_child_outlives_its_owner() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=CHECKOUT, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        first, second = map(int, owner.stdout.readline().split())
        forked = _parent(second)
        assert _parent(first) == owner.pid != forked
        try:
            owner.kill()
            _until(lambda: not is_alive(first))
            assert is_alive(second)
        finally:
            os.kill(forked, signal.SIGKILL)
        _until(lambda: not is_alive(second))


def _match_often() -> None:
    for _ in range(100):
        matches(LARGE, TEXT)


def _child() -> int:
    pid = keywords._child.pid
    assert pid is not None
    return pid


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
