"""What a process command does first: settings, and failures of the stores, said in one line."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ops.cli.exits import UNREACHABLE, USAGE, leave

if TYPE_CHECKING:  # pydantic takes longer to import than --help may take
    from app.settings import Settings


def configured(*, is_beside_laptop: bool = False) -> "Settings":
    """The settings of this process; ends the command with their faults.

    `is_beside_laptop`: a command for people, who may have this checkout's demo running.
    """
    from app.settings import SettingsInvalid, current

    if is_beside_laptop:
        _beside_the_laptop()
    try:
        return current()
    except SettingsInvalid as err:
        leave(USAGE, str(err))


def ready_to_work() -> "Settings":
    """The settings of a process that serves the platforms; ends the command with what is wrong
    with them, with a platform or with its settings."""
    settings = configured()
    import tasks
    from app.settings import SettingsInvalid
    from tasks.installed import PlatformInvalid

    try:
        tasks.check()
    except (SettingsInvalid, PlatformInvalid) as err:
        leave(USAGE, str(err))
    return settings


def _beside_the_laptop() -> None:
    """Without a database named, the settings that this checkout's demo has left."""
    from ops.laptop.profile import DATA_FOLDER, ENVIRONMENT_FILE

    if any(name in os.environ for name in ("DATABASE_URL", "DATABASE_URL_FILE")):
        return
    with contextlib.suppress(OSError, ValueError):
        left = json.loads((DATA_FOLDER / ENVIRONMENT_FILE).read_text())
        os.environ.update({name: str(value) for name, value in left.items()})


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
