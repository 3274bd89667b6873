"""The command line `playalter`, for people, for scripts, and for the processes of an instance.

The module of a command is imported only when that command is called. Heavy libraries are imported
only when they are used. So every command starts in a fraction of a second. The exit codes are in
ops/cli/exits.py.
"""

from importlib import import_module

import click

from ops.cli.exits import USAGE

_MODULES = {
    "up": "local.profile",
    "demo": "local.profile",
    "submit": "remote.workflows",
    "watch": "remote.workflows",
    "status": "remote.workflows",
    "authentication": "remote.workflows",
    "list": "remote.workflows",
    "cancel": "remote.control",
    "pause": "remote.control",
    "resume": "remote.control",
    "budget": "remote.control",
    "retry": "remote.control",
    "skip": "remote.control",
    "fork": "remote.control",
    "signal": "remote.people",
    "approve": "remote.people",
    "reject": "remote.people",
    "approvals": "remote.people",
    "approver-groups": "remote.people",
    "attention": "remote.people",
    "platforms": "remote.people",
    "queues": "remote.queues",
    "flow": "remote.flow",
    "webhooks": "remote.webhooks",
    "resolve": "remote.people",
    "dismiss": "remote.people",
    "bulk": "remote.bulk",
    "dead-letters": "remote.dead_letters",
    "schedules": "remote.schedules",
    "calendars": "remote.schedules",
    "definitions": "remote.definitions",
    "prompts": "remote.prompts",
    "actions": "remote.actions",
    "events-in": "remote.incoming",
    "waits": "remote.incoming",
    "triggers": "remote.incoming",
    "event-sources": "remote.incoming",
    "archive": "remote.archive",
    "prices": "local.prices",
    "forget-payer": "local.payers",
    "money": "money.commands",
    "keys": "local.keys",
    "events": "local.events",
    "web": "local.processes",
    "workers": "local.workers",
    "worker": "local.processes",
    "reconciler": "local.processes",
    "hooks": "local.processes",
    "beat": "local.processes",
    "flower": "local.processes",
    "migrate": "local.processes",
    "clock": "local.clock",
    "sandbox": "local.processes",
}


class _Commands(click.Group):
    """Imports the module of a command when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names of commands, in the order of `_MODULES`."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None if there is none."""
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        found = import_module(f"ops.cli.{module}")
        command: click.Command = found.COMMANDS[cmd_name]
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def playalter() -> None:
    """Durable workflows over paid platforms.

    Commands that call a server read its address from PLAYALTER_URL (default http://127.0.0.1:8000)
    and the API key from PLAYALTER_API_KEY.
    """


def main() -> None:
    """Run the command line."""
    assert click.UsageError.exit_code == USAGE
    playalter(prog_name="playalter")
