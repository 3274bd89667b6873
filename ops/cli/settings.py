"""What a process command does first: settings, and failures of the stores, said in one line."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ops.cli.exits import UNREACHABLE, USAGE, leave

if TYPE_CHECKING:  # pydantic takes longer to import than --help may take
    from app.settings import Settings


def configured() -> "Settings":
    """The settings of this process; ends the command with their faults."""
    from app.settings import SettingsInvalid, current

    try:
        return current()
    except SettingsInvalid as err:
        leave(USAGE, str(err))


@contextlib.contextmanager
def stores() -> Iterator[None]:
    """Within it, a database that is away or refuses ends the command."""
    from psycopg2 import Error
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, Error) as err:
        first = str(getattr(err, "orig", None) or err).strip().splitlines()[0]
        leave(UNREACHABLE, f"PostgreSQL (DATABASE_URL): {first}")
