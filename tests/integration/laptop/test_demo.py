"""`playalter demo --once` ends with what is still there, and with how to look at it again."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from ops.laptop.profile import CHECKOUT

PORTS = ("--web-port", "0", "--flower-port", "0", "--sandbox-port", "0")
PATIENCE_SECONDS = 60.0


def playalter(*arguments: str, **environ: str) -> list[str]:
    """The lines that a command prints on stdout."""
    ended = subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=CHECKOUT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines()


def is_there(url: str) -> bool:
    """Whether the address answers with a page."""
    try:
        return bool(requests.get(url, timeout=5).status_code == requests.codes.ok)
    except requests.ConnectionError:
        return False


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_demo_that_has_ended_tells_what_is_there_and_how_to_look_again(tmp_path: Path) -> None:
    lines = playalter("demo", "--once", "--targets", "1", "--data", str(tmp_path / "d"), *PORTS)
    (end,) = [number for number, line in enumerate(lines) if line.startswith("All services have")]
    assert "earned     49.00 EUR" in lines
    told = {line.split()[0]: line.partition(" ")[2].strip() for line in lines[end + 1 :]}
    assert [path.suffix for path in sorted(Path(told["pictures"]).iterdir())][-1] == ".json"
    assert len(list(Path(told["pictures"]).iterdir())) == 2
    assert Path(told["report"]).is_file()
    assert Path(told["data"]) == tmp_path / "d"
    assert (Path(told["logs"]) / "web.log").is_file()
    assert not is_there(told["page"])
    assert not any(line.startswith(("Flower ", "API docs ")) for line in lines)

    start = shlex.split(told["start"])[1:]
    with subprocess.Popen(
        [sys.executable, "-m", "ops.cli", *start], cwd=CHECKOUT, stdout=subprocess.DEVNULL
    ) as running:
        try:
            until = time.monotonic() + PATIENCE_SECONDS
            while not is_there(told["page"]):
                assert running.poll() is None
                assert time.monotonic() < until
                time.sleep(0.2)
            url, key, _, command, workflow = shlex.split(told["status"])
            login = dict(each.split("=", 1) for each in (url, key))
            while not is_there(f"{login['PLAYALTER_URL']}/healthz"):
                assert time.monotonic() < until
                time.sleep(0.2)
            assert "succeeded" in playalter(command, workflow, **login)[0]
            *_, money, option, workflow = shlex.split(told["money"])
            assert "revenue                  -49.00 EUR" in playalter(
                money, option, workflow, **login
            )
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(60)
