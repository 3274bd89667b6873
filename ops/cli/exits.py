"""How a command ends: by one of these codes, and with one line that says why."""

from typing import NoReturn

import click

OK = 0
FAILED = 1
"""The workflow ended other than by success, or the command itself failed."""
USAGE = 2
"""Wrong use, wrong input, wrong settings."""
UNREACHABLE = 3
"""The server, or a store, cannot be reached."""


def leave(code: int, message: str) -> NoReturn:
    """End the command with a line on stderr."""
    click.echo(f"playalter: {message}", err=True)
    raise SystemExit(code)
