"""`playalter workers`: who works, and on which queues; works on the database, not over HTTP."""

import json
from dataclasses import asdict

import click

from ops.cli.local.settings import configured, stores


@click.command()
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
def workers(is_json: bool) -> None:
    """List the workers of the last day with the queues that they take, then the queues that nobody
    takes (needs the settings of the server)."""
    configured(is_beside_laptop=True)
    from app.broker import presence
    from app.broker.celery import CONTROL_QUEUE
    from tasks import platforms

    with stores():
        known, taken = presence.workers(), presence.taken()
    for each in known:
        if is_json:
            click.echo(json.dumps(asdict(each) | {"is_gone": each.is_gone}))
            continue
        takes = "gone" if each.is_gone else ",".join(each.queues)
        click.echo(f"{each.name:<32} {takes}  seen {each.ago:.0f} s ago")
    if is_json:
        return
    queues = [CONTROL_QUEUE, *(platform.name for platform in platforms())]
    left = sorted(set(queues) - (taken or frozenset()))
    if left:
        click.echo(f"no worker takes {','.join(left)}", err=True)


COMMANDS: dict[str, click.Command] = {"workers": workers}
