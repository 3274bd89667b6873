"""`playalter workers`: list the workers and their queues, directly from the database."""

import json
from dataclasses import asdict

import click

from ops.cli.local.settings import configured, stores


@click.command()
@click.option("--json", "is_json", is_flag=True, help="One JSON object per line.")
def workers(is_json: bool) -> None:
    """List the workers seen in the last day with their queues, then the queues without a worker.

    Needs the settings of the server.
    """
    configured(is_demo_allowed=True)
    from app.broker import presence
    from tasks.queues import queues

    with stores():
        known, taken = presence.workers(), presence.taken()
    for each in known:
        if is_json:
            click.echo(json.dumps(asdict(each) | {"is_gone": each.is_gone}))
            continue
        state = "gone" if each.is_gone else ",".join(each.queues)
        click.echo(f"{each.name:<32} {state}  seen {each.ago:.0f} s ago")
    if is_json:
        return
    unserved = sorted(set(queues()) - (taken or frozenset()))
    if unserved:
        click.echo(f"no worker serves {','.join(unserved)}", err=True)


COMMANDS: dict[str, click.Command] = {"workers": workers}
