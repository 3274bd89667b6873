"""What tests read of processes, while these come and go."""

import os
import subprocess
import sys

from tests.processes import children, command, environment, is_alive


def test_a_process_that_has_ended_is_read_as_ended_before_and_after_it_is_reaped() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert ended.pid in children()
        assert not is_alive(ended.pid)
        assert (command(ended.pid), environment(ended.pid)) == (b"", b"")
    assert ended.pid not in children()
    assert not is_alive(ended.pid)
    assert (command(ended.pid), environment(ended.pid)) == (b"", b"")
