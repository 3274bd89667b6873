"""What the commands of ops/bench share: options that are refused before anything is measured, the
folder of their servers, and what is written at the end."""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from ops.laptop.supervisor import signals_as_exit


def positive(said: str) -> int:
    """An option's whole number above 0."""
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise argparse.ArgumentTypeError(f"'{said}' is not a whole number above 0")
    return int(said)


def writable(said: str) -> Path:
    """An option's file that can be written: to find out when all is measured would be too late."""
    path = Path(said)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"{path.parent}, where {path.name} is to be written, is not a folder"
        )
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder; name the file to write")
    return path


def takes_json(parser: argparse.ArgumentParser) -> None:
    """Give the command its option `--json`."""
    parser.add_argument("--json", type=writable, metavar="FILE", help="write all figures there too")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the servers that are measured; TERM ends them as Ctrl-C does."""
    with signals_as_exit(), tempfile.TemporaryDirectory(prefix="playalter-bench-") as folder:
        # The database server may run as another user.
        Path(folder).chmod(0o755)
        yield Path(folder)


def tell(found: dict[str, Any], text: str, path: Path | None) -> None:
    """Print the text, and write all figures where the user asked for them."""
    if path is not None:
        path.write_text(json.dumps(found, indent=2) + "\n")
    print(text)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a command of ops/bench to its end; Ctrl-C ends it without a traceback."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
