"""The state of the platforms, as the last probe or a refused call has told."""

from sqlalchemy import select

from app.db import begin_read
from app.db.models import PlatformHealth
from app.platform import Json


def platform_states() -> list[Json]:
    """For each platform that was asked: whether it is well, its error, and when that was seen.

    `response_time` is that of the last probe, in milliseconds.
    """
    wanted = (
        PlatformHealth.platform,
        PlatformHealth.is_ok,
        PlatformHealth.error,
        PlatformHealth.response_time,
        PlatformHealth.checked_at,
    )
    with begin_read() as connection:
        found = connection.execute(select(*wanted).order_by(PlatformHealth.platform))
        return [dict(row) for row in found.mappings()]
