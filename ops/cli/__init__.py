"""`playalter`: one command for people, for machines, and for the processes of an instance.

A command's module is imported when the command is called, and libraries when they are used, so
that every call starts in a fraction of a second. Exit codes stand in ops/cli/exits.py.
"""

from importlib import import_module

import click

from ops.cli.exits import USAGE

_MODULES = {
    "up": "profile",
    "demo": "profile",
    "submit": "client",
    "watch": "client",
    "status": "client",
    "list": "client",
    "cancel": "control",
    "pause": "control",
    "resume": "control",
    "retry": "control",
    "skip": "control",
    "fork": "control",
    "signal": "people",
    "approve": "people",
    "reject": "people",
    "approvals": "people",
    "attention": "people",
    "resolve": "people",
    "dismiss": "people",
    "bulk": "bulk",
    "definitions": "definitions",
    "keys": "keys",
    "events": "events",
    "web": "processes",
    "workers": "workers",
    "worker": "processes",
    "reconciler": "processes",
    "beat": "processes",
    "flower": "processes",
    "migrate": "processes",
    "sandbox": "processes",
}


class _Commands(click.Group):
    """Finds a command in its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        found = import_module(f"ops.cli.{module}")
        command: click.Command = found.COMMANDS[cmd_name]
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def playalter() -> None:
    """Durable workflows over paid platforms.

    Commands that ask a server read its address from PLAYALTER_URL (default http://127.0.0.1:8000)
    and the key from PLAYALTER_API_KEY.
    """


def main() -> None:
    """Run the command line; wrong use ends with exit code 2."""
    assert click.UsageError.exit_code == USAGE
    playalter(prog_name="playalter")
