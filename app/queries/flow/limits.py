"""The limits of flow control that are in use."""

from sqlalchemy import text

from app.db import begin_read
from app.platform import Json

_LIMITS = text("""
SELECT f.id, f.scope, f.name, f.key, f.tat, f.opens_at,
       CASE WHEN f.scope <> 'throttle' THEN
         (SELECT count(*) FROM flow_turns AS t WHERE t.limit_id = f.id) END AS held,
       CASE WHEN f.scope <> 'throttle' THEN of.least END AS most_from,
       CASE WHEN f.scope <> 'throttle' THEN of.greatest END AS most,
       (SELECT count(*) FROM (
          SELECT FROM flow_lanes AS b WHERE b.blocked_on = f.id LIMIT 1000) AS b) AS blocked_lanes
  FROM (SELECT * FROM flow_limits
         WHERE id > :after AND (CAST(:definition AS text) IS NULL
            OR name = :definition AND scope IN ('definition', 'throttle')
            OR id IN (SELECT unnest(limits) FROM flow_lanes WHERE definition = :definition))
         ORDER BY id LIMIT :most) AS f
  LEFT JOIN (SELECT u.id, min(u.most) AS least, max(u.most) AS greatest
               FROM flow_lanes AS l CROSS JOIN LATERAL unnest(l.limits, l.mosts) AS u (id, most)
              GROUP BY u.id) AS of ON of.id = f.id
 ORDER BY f.id
""")


def flow_limits(*, definition: str | None = None, after: int = 0, most: int = 100) -> list[Json]:
    """The limits and throttles in use (by one definition, if it is given), after the id `after`.

    Each has `id`, `scope` (or `throttle`), `name`, `key`, `held` (places that are taken), `most`
    (its number; `most_from` differs if definitions or versions give it different numbers),
    `blocked_lanes` (that wait for it, counted up to 1,000) and `throttled_until`. A throttle has no
    `held` and no `most`.
    """
    with begin_read() as connection:
        given = {"definition": definition, "after": after, "most": most}
        rows = connection.execute(_LIMITS, given).mappings().all()
    return [
        {
            "id": row["id"],
            "scope": row["scope"],
            "name": row["name"],
            "key": row["key"],
            "held": row["held"],
            "most": row["most"],
            "most_from": row["most_from"],
            "blocked_lanes": row["blocked_lanes"],
            "throttled_until": row["opens_at"],
        }
        for row in rows
    ]
