"""Outlives a supervisor that was killed, to stop what it had started.

A process of its own session that reads the numbers of process groups from a pipe. The pipe's end
without a goodbye means that the supervisor is gone: each group gets its stop signal, then SIGKILL.
(PR_SET_PDEATHSIG reaches only direct children and follows the thread that forked them.)
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

GRACE_SECONDS = 5.0


class Guard:
    """The supervisor's end; `keep_open` descriptors stay open until the guard has ended."""

    def __init__(self, keep_open: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-I", "-S", __file__),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=tuple(keep_open),
            bufsize=0,
        )

    def watch(self, group: int, number: signal.Signals) -> None:
        """If we are gone, end this process group, by this signal first."""
        self._say(f"+ {group} {number.value}\n")

    def forget(self, group: int) -> None:
        """This group has ended."""
        self._say(f"- {group} 0\n")

    def is_dead(self) -> bool:
        """Whether the guard itself was killed."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Dismiss the guard: nothing is left to watch."""
        self._say("bye\n")
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode("ascii"))


def main() -> None:
    """Read until the pipe ends; then end the groups still noted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    for line in sys.stdin:
        if line == "bye\n":
            return
        change, group, stop_signal = line.split()
        if change == "+":
            groups[int(group)] = int(stop_signal)
        else:
            groups.pop(int(group), None)
    _end(groups)


def _end(groups: dict[int, int]) -> None:
    for group, stop_signal in groups.items():
        _signal(group, stop_signal)
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until and any(_is_alive(group) for group in groups):
        time.sleep(0.05)
    for group in groups:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
