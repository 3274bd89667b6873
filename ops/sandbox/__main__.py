"""`python -m ops.sandbox --base-port 9100 --state DIR`: the imitated vendors, on loopback.

Prints one line of JSON when every port listens: the addresses and the settings to use them
(`control.describe`), and the key of the control API. Ends on SIGTERM or SIGINT.

The variables SANDBOX_KEY (the control API's key; by default a random one) and SANDBOX_SEED are read
from the environment, because every user of the machine can read a command line, and the vendors'
secrets follow from the seed. By default the seed is a random one, which is kept in DIR.

If the variable SANDBOX_STRIPE_REQUESTS names a file, each request to Stripe is written there as a
line of JSON: {method, url, body, version, status}.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ops.sandbox.control import describe
from ops.sandbox.serve import PortTaken, start


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; return the exit code: 2 if a port is in use or DIR is not writable."""
    options = _options(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        key = os.environ.get("SANDBOX_KEY") or secrets.token_urlsafe(32)
        seed = _kept_seed(options.state) if options.seed is None else options.seed
        sandbox = start(options.base_port, options.state, options.hook_base, seed, key)
    except PortTaken as error:
        print(f"playalter sandbox: {error}; choose another --base-port", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"playalter sandbox: cannot use {options.state}: {error.strerror}", file=sys.stderr)
        return 2
    print(json.dumps(describe(sandbox.box) | {"key": key}), flush=True)
    stop.wait()
    sandbox.stop()
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="playalter sandbox", description="Imitated vendors")
    parser.add_argument(
        "--base-port", type=int, default=9100, help="control port; 0 chooses free ports"
    )
    parser.add_argument("--state", type=Path, required=True, help="folder for all state")
    parser.add_argument("--hook-base", help="where webhooks are sent: the URL before /hooks")
    parser.add_argument(
        "--seed",
        type=int,
        default=os.environ.get("SANDBOX_SEED") or None,
        help="determines the credentials and captions; by default $SANDBOX_SEED, or else a random"
        " number that is kept in the folder for all state",
    )
    return parser.parse_args(argv)


def _kept_seed(folder: Path) -> int:
    """The seed in the folder, which only this user may read; make a random one at the first start.

    A known seed would give the vendors' secrets away to every user of the machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "seed"
    if not path.exists():
        # Complete before it has its name, so that no start finds half a seed.
        part = folder / f"seed.{os.getpid()}"
        part.touch(mode=0o600)
        part.write_text(str(secrets.randbits(64)))
        part.rename(path)
    return int(path.read_text())


if __name__ == "__main__":
    sys.exit(main())
