"""What local commands share: reading the settings, and one line for a store that fails."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ops.cli.exits import UNREACHABLE, USAGE, leave

if TYPE_CHECKING:  # pydantic takes longer to import than --help may take
    from app.settings import Settings


def configured(*, is_demo_allowed: bool = False) -> "Settings":
    """Read the settings from the environment; wrong settings end the command.

    `is_demo_allowed`: if no database is named, use the settings of this checkout's demo. This is
    for commands that a person runs beside the demo.
    """
    from app.settings import SettingsInvalid, current

    if is_demo_allowed:
        _use_demo_settings()
    try:
        return current()
    except SettingsInvalid as err:
        leave(USAGE, str(err))


def ready_to_work() -> "Settings":
    """The settings of a process that works with platforms; checks the platforms' settings too.

    A wrong setting, or a platform that cannot be used, ends the command and is named.
    """
    settings = configured()
    import tasks
    from app.settings import SettingsInvalid
    from tasks.installed import PlatformInvalid

    try:
        tasks.check()
    except (SettingsInvalid, PlatformInvalid) as err:
        leave(USAGE, str(err))
    return settings


def _use_demo_settings() -> None:
    """If no database is named, read the settings that this checkout's demo has written."""
    from ops.laptop.profile import DATA_FOLDER, ENVIRONMENT_FILE

    if any(name in os.environ for name in ("DATABASE_URL", "DATABASE_URL_FILE")):
        return
    with contextlib.suppress(OSError, ValueError):
        written = json.loads((DATA_FOLDER / ENVIRONMENT_FILE).read_text())
        os.environ.update({name: str(value) for name, value in written.items()})


@contextlib.contextmanager
def stores() -> Iterator[None]:
    """Within the block, an error of PostgreSQL ends the command."""
    from psycopg2 import Error
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, Error) as err:
        first = str(getattr(err, "orig", None) or err).strip().splitlines()[0]
        leave(UNREACHABLE, f"PostgreSQL (DATABASE_URL): {first}")
