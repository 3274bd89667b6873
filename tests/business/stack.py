"""The instance of a long run: the laptop profile on free ports, with what webhooks and time need.

Invariant: every process started here has ended when `opened` is left.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from ops.laptop.faults import LaptopFault
from ops.laptop.profile import CHECKOUT, Ports, Profile, open_profile
from ops.laptop.supervisor import Supervisor
from tests.business.place import Place
from tests.e2e.stack import Stack

CORE = ("postgres", "valkey", "sandbox", "migrate", "web", "reconciler")
ANY_PORT = Ports(web=0, flower=0, sandbox=0, postgres=0, valkey=0)
_COMMAND_SECONDS = 3600.0


@contextlib.contextmanager
def opened(folder: Path, **settings: str) -> Iterator[Stack]:
    """Start the instance with its data and logs in `folder`; stop it on the way out."""
    with open_profile(folder, os.environ, ports=ANY_PORT, overrides=settings) as profile:
        core = [service for service in profile.services() if service.name in CORE]
        with Supervisor(core, keep_open=[profile.data.lock]) as supervisor:
            made = command(profile, "keys", "create", "business@example.com", "--admin")
            key = next(word for word in made.split() if word.startswith("pa_"))
            stack = Stack(profile, supervisor, key)
            try:
                stack.hurry()
                yield stack
            finally:
                stack.close()


def place_of(stack: Stack) -> Place:
    """The instance as the business reaches it."""
    profile = stack.profile
    settings = profile.vendors()

    def api(method: str, path: str, body: Any = None) -> Any:
        answer = stack.api(method, path, json=body)
        assert answer.ok, answer.text
        return answer.json()

    def compare(day: date) -> None:
        command(profile, "money", "reconcile", "--day", day.isoformat())

    return Place(
        settings["STRIPE_BASE_URL"],
        settings["STRIPE_API_KEY"],
        stack.control,
        api,
        lambda hours: _print(
            command(profile, "clock", "advance", f"{hours}h", "--patience", "600")
        ),
        compare,
        lambda: float(stack.control("GET", "/stripe/clock")["now"]),
    )


def _print(told: str) -> None:
    print(told, file=sys.stderr, flush=True)


def command(profile: Profile, *arguments: str) -> str:
    """What a command of the instance prints; LaptopFault with its last words if it fails."""
    sandbox = {"SANDBOX_URL": profile.sandbox_url, "SANDBOX_KEY": profile.secrets["SANDBOX_KEY"]}
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        env=profile.environment() | sandbox,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS,
    )
    if done.returncode != 0:
        raise LaptopFault(f"{arguments} failed:\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr
