"""`playalter keys`: create, list and revoke API keys, directly in the database."""

import click

from ops.cli.exits import USAGE, leave
from ops.cli.local.settings import configured, stores


@click.group()
def keys() -> None:
    """Create, list and revoke API keys (needs the settings of the server)."""


@keys.command()
@click.argument("email")
@click.option(
    "--admin",
    "is_admin",
    is_flag=True,
    help="The key may change definitions and see everybody's workflows.",
)
def create(email: str, is_admin: bool) -> None:
    """Create a key for the user with EMAIL, who is created if needed. It is shown only once."""
    configured(is_demo_allowed=True)
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
    """List the prefixes of all keys, or of the keys of the user with EMAIL."""
    configured(is_demo_allowed=True)
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
    """Revoke the key with PREFIX; a whole key is accepted too."""
    configured(is_demo_allowed=True)
    from app.errors import NotFound
    from app.identity import keys

    wanted = prefix.split("_")[1] if prefix.startswith("pa_") and prefix.count("_") else prefix
    try:
        with stores():
            keys.revoke_key(wanted)
    except NotFound as err:
        leave(USAGE, f"{wanted}: {err.message}")
    click.echo(f"{wanted} is revoked and refused from now on")


@keys.command()
@click.argument("email")
@click.argument("weight", type=float)
def weigh(email: str, weight: float) -> None:
    """Give the user with EMAIL a share of WEIGHT (1 is usual) while steps of several users wait."""
    configured(is_demo_allowed=True)
    from app.errors import InvalidInput, NotFound
    from app.identity import keys

    try:
        with stores():
            keys.set_weight(email, weight)
    except (InvalidInput, NotFound) as err:
        leave(USAGE, f"{email!r}: {err.message}")
    click.echo(f"{email} has the weight {weight:g} from now on")


COMMANDS: dict[str, click.Command] = {"keys": keys}
