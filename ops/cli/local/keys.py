"""`playalter keys`: make, list and revoke API keys; works on the database, not over HTTP."""

import click

from ops.cli.exits import USAGE, leave
from ops.cli.local.settings import configured, stores


@click.group()
def keys() -> None:
    """Make, list and revoke API keys (needs the settings of the server)."""


@keys.command()
@click.argument("email")
@click.option("--admin", "is_admin", is_flag=True, help="May change what can be started.")
def create(email: str, is_admin: bool) -> None:
    """Make a key for the user of EMAIL, new or known; it is shown this once."""
    configured(is_beside_laptop=True)
    from app.errors import InvalidInput
    from app.identity import keys

    try:
        with stores():
            _, key = keys.create_key(email, is_admin=is_admin)
    except InvalidInput as err:
        leave(USAGE, f"{email!r}: {err.message}")
    click.echo(key)


@keys.command("list")
@click.argument("email", required=False)
def list_keys(email: str | None) -> None:
    """List keys by prefix; of one user if EMAIL is given."""
    configured(is_beside_laptop=True)
    from app.identity import keys

    with stores():
        found = keys.list_keys(email)
    for facts in found:
        state = f"revoked {facts.revoked_at:%Y-%m-%d %H:%M}" if facts.revoked_at else "in use"
        role = " (admin)" if facts.is_admin else ""
        made = f"{facts.created_at:%Y-%m-%d %H:%M}"
        click.echo(f"{facts.prefix}  {made}  {state:<24} {facts.email}{role}")


@keys.command()
@click.argument("prefix")
def revoke(prefix: str) -> None:
    """Make the key with PREFIX worthless (a whole key is taken too)."""
    configured(is_beside_laptop=True)
    from app.errors import NotFound
    from app.identity import keys

    wanted = prefix.split("_")[1] if prefix.startswith("pa_") and prefix.count("_") else prefix
    try:
        with stores():
            keys.revoke_key(wanted)
    except NotFound as err:
        leave(USAGE, f"{wanted}: {err.message}")
    click.echo(f"{wanted} revoked: refused from now on")


COMMANDS: dict[str, click.Command] = {"keys": keys}
