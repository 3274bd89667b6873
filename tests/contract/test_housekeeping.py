"""What beat runs: each platform's probe, recorded for whoever looks."""

from collections.abc import Callable

from app import db, queries
from app.settings import Settings
from chains import housekeeping
from tasks import PLATFORMS


def test_probes_tell_which_platforms_answer(
    configure: Callable[..., Settings], fresh_database: str
) -> None:
    configure(DATABASE_URL=fresh_database, VERCEL_TOKEN="wrong")
    try:
        housekeeping.probe_platforms()
        health = queries.platform_health()
    finally:
        db.engine().dispose()
    assert health == {platform.name: platform.name != "vercel" for platform in PLATFORMS}
