"""Platforms that refuse our credential or account, and how many workflows that holds.

One refusal holds all workflows that call the platform. So people are told of it once, at once, and
not by each of these workflows. It is over when no step is held because of it any more. A paused
workflow tries nothing, and so does not count.
"""

from uuid import UUID

from sqlalchemy import text

from app.db import begin_read
from app.platform import Json
from app.queries.gauges import MOST_COUNTED

_MOST_ERRORS = 5
_MOST_READ = 100
TO_DO = {
    "credential_refused": "correct the credential that the error names",
    "account_exhausted": "pay the platform, or raise the limit of the account",
    "account_restricted": "give the platform what its dashboard asks for",
}
"""What a person must do, by the code of the steps' error."""


def refusing_platforms(user_id: UUID, *, is_operator: bool = False) -> list[Json]:
    """{platform, reason, errors, since, workflows, to_do} of each refusal that holds workflows of
    the user; an operator reads those of all users. The platform that refused first comes first.

    `errors` are different messages, at most five. The held steps go on by themselves, within about
    a minute after the platform serves them again.
    """
    given = {"user": user_id, "all": is_operator, "codes": [*TO_DO]}
    with begin_read() as connection:
        rows = [dict(row) for row in connection.execute(text(_REFUSING), given).mappings()]
    return [
        row
        | {
            "errors": sorted({each["message"] for each in row["errors"]})[:_MOST_ERRORS],
            "to_do": f"{TO_DO[row['reason']]}; the workflows then go on by themselves",
        }
        for row in rows
    ]


_REFUSING = f"""
SELECT queue_of_v1(s.action) AS platform, s.error_code AS reason,
       (array_agg(DISTINCT s.error))[1:{_MOST_READ}] AS errors,
       min(s.held_since) AS since, count(DISTINCT s.workflow_id) AS workflows
  FROM steps s JOIN workflows w ON w.id = s.workflow_id
 WHERE s.held_since IS NOT NULL AND s.status IN ('pending', 'running')
   AND w.status IN ('running', 'compensating') AND w.paused_at IS NULL
   AND s.error_code = ANY (cast(:codes AS text[])) AND (:all OR w.user_id = :user)
 GROUP BY 1, 2 ORDER BY since, platform
"""


def refused_steps() -> dict[str, int]:
    """The number of steps that each platform's refusal holds, over all users; 0 for a platform that
    refuses nothing. If there are more than `MOST_COUNTED` in all, only so many are counted."""
    given = {"codes": [*TO_DO], "most": MOST_COUNTED}
    with begin_read() as connection:
        rows = connection.execute(text(_REFUSED), given).all()
    return {row.platform: row.number for row in rows}


_REFUSED = """
WITH held AS (
  SELECT queue_of_v1(s.action) AS platform
    FROM steps s JOIN workflows w ON w.id = s.workflow_id
   WHERE s.held_since IS NOT NULL AND s.status IN ('pending', 'running')
     AND w.status IN ('running', 'compensating') AND w.paused_at IS NULL
     AND s.error_code = ANY (cast(:codes AS text[]))
   LIMIT :most)
SELECT platform, count(held.platform) AS number
  FROM (SELECT platform FROM platform_health UNION SELECT platform FROM held) AS known
  LEFT JOIN held USING (platform) GROUP BY platform
"""
