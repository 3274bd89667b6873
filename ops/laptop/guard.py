"""The guard: a process that stops the services of a supervisor that was killed.

The guard runs in its own session and reads the ids of process groups from a pipe, which the
supervisor writes. If the pipe ends without the line "bye", the supervisor was killed. Then the
guard sends each group its stop signal, and SIGKILL after GRACE_SECONDS. (PR_SET_PDEATHSIG is not
sufficient: it reaches only direct children, and it fires when the thread that forked them ends.)
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
    """Starts the guard process and writes to it; used by the supervisor.

    The guard process keeps the file descriptors `keep_open` open.
    """

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
        """Guard a process group: if the supervisor is killed, it first gets the signal `number`."""
        self._send(f"+ {group} {number.value}\n")

    def forget(self, group: int) -> None:
        """Stop guarding this process group; call this when the group has ended."""
        self._send(f"- {group} 0\n")

    def is_dead(self) -> bool:
        """Whether the guard itself was killed."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the guard process; call this when no process is left to guard."""
        self._send("bye\n")
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode("ascii"))


def main() -> None:
    """Run the guard process: read the pipe to its end, then stop the groups still guarded."""
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
