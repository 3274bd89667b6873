"""`playalter forget-payer`: deletes what is stored of a person for the rules of risky payments."""

import click

from ops.cli.exits import USAGE, leave
from ops.cli.local.settings import configured, stores


@click.command("forget-payer")
@click.argument("email")
def forget_payer(email: str) -> None:
    """Delete the traces of all payments with the address EMAIL (needs the settings of the server).

    They are keyed hashes, by which `stripe.review` counts payments.
    """
    configured(is_demo_allowed=True)
    from app.errors import NotConfigured
    from tasks.stripe.fraud import seen

    try:
        with stores():
            number = seen.forget_payer(email)
    except NotConfigured as err:
        leave(USAGE, err.message)
    click.echo(f"{number} payment{'' if number == 1 else 's'} forgotten")


COMMANDS = {"forget-payer": forget_payer}
