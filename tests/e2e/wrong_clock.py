"""A process whose clock is wrong: libfaketime (from the wheel of that name) loaded before it.

CLOCK_MONOTONIC stays true, as it does on a machine whose clock was set wrong.
"""

import importlib.util
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ops.laptop.service import Service

HOUR = 3600


def with_clock_off(service: Service, seconds: int) -> Service:
    """The service, `seconds` ahead of everybody else (or behind them)."""
    changes = _preload(seconds)
    _check(changes, seconds)
    return replace(service, environment=lambda: {**service.environment(), **changes})


def _preload(seconds: int) -> dict[str, str]:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("libfaketime's wheel has a library for Linux on x86-64 only")
    spec = importlib.util.find_spec("libfaketime")
    assert spec is not None, "the package libfaketime is not installed (extra `test`)"
    assert spec.origin is not None
    found = next(Path(spec.origin).parent.rglob("libfaketime.so.1"), None)
    assert found is not None, "libfaketime has no library for this system"
    return {
        "LD_PRELOAD": str(found),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def _check(changes: Mapping[str, str], seconds: int) -> None:
    """The clock is really off, and only that one: else the test would prove nothing."""
    program = "import time; print(time.time(), time.monotonic())"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        env=dict(changes),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    told, monotonic = map(float, done.stdout.split())
    assert abs(told - time.time() - seconds) < 20, done.stderr
    assert abs(monotonic - time.monotonic()) < 20
