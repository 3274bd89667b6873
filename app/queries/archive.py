"""The state of the archive, for operators."""

from app import db
from app.platform import Json

GRACE_DAYS = 7
"""Within so many days nothing is erased that is not counted as expiring before."""
_STATE = """
SELECT coalesce(sum(bundles), 0)::bigint AS bundles,
       coalesce(sum(workflows), 0)::bigint AS workflows, coalesce(sum(bytes), 0)::bigint AS bytes,
       coalesce(sum(erased), 0)::bigint AS erased,
       (SELECT count(*) FROM archive_bundles
         WHERE manifest IS NULL) AS unnamed,
       (SELECT count(*) FROM archive_holds WHERE released_at IS NULL) AS held,
       (SELECT json_build_object('number', number, 'sha256', sha256, 'made_at', utc_text(made_at))
          FROM archive_manifests ORDER BY number DESC LIMIT 1) AS manifest,
       (SELECT utc_text(ran_at) FROM archive_progress) AS ran_at,
       coalesce((SELECT result FROM archive_progress), '{}') AS last_run
  FROM archive_manifests
"""
_EXPIRING = """
SELECT coalesce(sum(workflows), 0)::bigint AS workflows FROM archive_bundles
 WHERE state = 'archived' AND expires_at <= playalter_now() + make_interval(days => %(days)s)
"""


def archive_state() -> Json:
    """What the manifests have named in all, what is open, and what the last run did."""
    (row,) = db.read_text(_STATE, {})
    return row | {"expiring": expiring()}


def expiring() -> int:
    """How many archived workflows may be erased within GRACE_DAYS, the held ones among them."""
    (row,) = db.read_text(_EXPIRING, {"days": GRACE_DAYS})
    return int(row["workflows"])
