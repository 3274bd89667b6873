"""The probes of platforms, which beat starts: their results are recorded."""

from collections.abc import Callable

from app import db, queries
from app.settings import Settings
from chains.repair import housekeeping
from tasks import PLATFORMS


def test_probes_tell_which_platforms_answer(
    configure: Callable[..., Settings], fresh_database: str
) -> None:
    configure(DATABASE_URL=fresh_database, VERCEL_TOKEN="wrong", AGORA_CUSTOMER_SECRET="")
    try:
        # Agora had its settings once. Without them it is not probed, and its old result is removed.
        db.row("INSERT INTO platform_health VALUES ('agora', true, NULL, 1)", ())
        housekeeping.probe_platforms()
        health = queries.platform_health()
        asked = db.row("SELECT max(checked_at) AS at FROM platform_health", ())
        assert asked is not None
        # Delayed messages may arrive all at once. Only the first of them probes the platforms.
        housekeeping.probe_when_due()
        assert db.row("SELECT max(checked_at) AS at FROM platform_health", ()) == asked
        db.row("UPDATE platform_health SET checked_at = checked_at - interval '1 hour'", ())
        housekeeping.probe_when_due()
        again = db.row(
            "SELECT min(checked_at) >= %s AS is_new FROM platform_health", (asked["at"],)
        )
        assert again == {"is_new": True}
    finally:
        db.engine().dispose()
    in_use = {platform.name for platform in PLATFORMS} - {"agora"}
    assert health == {name: name != "vercel" for name in in_use}
