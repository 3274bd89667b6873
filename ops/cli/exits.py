"""Exit codes of commands; a command that fails also prints one line with the reason."""

from typing import NoReturn

import click

OK = 0
FAILED = 1
"""The workflow did not succeed, or the command itself failed."""
USAGE = 2
"""Wrong usage, input or settings."""
UNREACHABLE = 3
"""The server or a store cannot be reached."""


def leave(code: int, message: str) -> NoReturn:
    """End the command with an exit code and one line on stderr."""
    click.echo(f"playalter: {message}", err=True)
    raise SystemExit(code)
