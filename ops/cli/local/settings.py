"""Used by local commands: reads the settings, and reports an error of PostgreSQL in one line."""

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

    If `is_demo_allowed` and no database is set, use the settings of this checkout's demo. This is
    for commands that a person runs while the demo runs.
    """
    from app.settings import SettingsInvalid, current

    if is_demo_allowed:
        _use_demo_settings()
    try:
        return current()
    except SettingsInvalid as err:
        leave(USAGE, str(err))


def ready_to_work() -> "Settings":
    """Read the settings of a process that works with platforms, and check those of the platforms.

    A wrong setting, or a platform that cannot be used, ends the command with a message.
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
    """If no database is set, read the settings that this checkout's demo has written."""
    from ops.laptop.profile import DATA_FOLDER, ENVIRONMENT_FILE

    if any(name in os.environ for name in ("DATABASE_URL", "DATABASE_URL_FILE")):
        return
    with contextlib.suppress(OSError, ValueError):
        written = json.loads((DATA_FOLDER / ENVIRONMENT_FILE).read_text())
        os.environ.update({name: str(value) for name, value in written.items()})


@contextlib.contextmanager
def stores() -> Iterator[None]:
    """A context in which an error of PostgreSQL ends the command with a message."""
    from psycopg2 import Error
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, Error) as err:
        first = str(getattr(err, "orig", None) or err).strip().splitlines()[0]
        leave(UNREACHABLE, f"PostgreSQL (DATABASE_URL): {first}")
