"""Asks often whether there are new events of many workflows, which costs little if there are none.

`workflow_tails` reads three tables and more columns, in a transaction of several round trips. This
is one prepared statement on a connection that is kept. It searches two indexes and reads no row.
"""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from app.db import connect_to_read
from app.queries.happenings import Tail, Watched, workflow_tails

_RENEW_SECONDS = 60.0
"""The connection is replaced after this time, because the replica may be reachable again."""

# Without LIMIT, PostgreSQL could plan a join that reads the whole table of events, and keep this
# plan while the table grows.
#
# PostgreSQL would plan each execution anew, which costs more than to execute it.
_PREPARE = """
SET plan_cache_mode = force_generic_plan;
PREPARE news (uuid[], integer[], text[]) AS
SELECT asked.number::integer AS number, NULL AS gone_key
  FROM unnest($1, $2) WITH ORDINALITY AS asked (id, after, number)
 CROSS JOIN LATERAL (
   SELECT FROM events WHERE workflow_id = asked.id AND seq > asked.after LIMIT 1) AS found
UNION ALL
SELECT NULL, sent.prefix
  FROM unnest($3) AS sent (prefix)
  LEFT JOIN LATERAL (
   SELECT prefix FROM api_keys WHERE prefix = sent.prefix AND revoked_at IS NULL LIMIT 1
  ) AS valid ON true
 WHERE valid.prefix IS NULL
"""
_EXECUTE = "EXECUTE news (%s, %s, %s)"


class Probe:
    """Finds the workflows that have news. Only one thread at a time may use it."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._cursor: Any = None
        self._renews_at = 0.0

    def news(self, watched: Sequence[Watched]) -> list[int]:
        """The positions of those with events that the user has not received, or whose API key is
        not valid any more.

        Raises psycopg2's and SQLAlchemy's errors; the next call then opens a new connection.
        """
        if not watched:
            return []
        keys = {each.key_prefix for each in watched}
        try:
            rows = self._ask(watched, keys)
        except BaseException:
            self.close()
            raise
        found = {number - 1 for number, _ in rows if number is not None}
        gone = {key for _, key in rows if key is not None}
        if gone:
            found |= {n for n, each in enumerate(watched) if each.key_prefix in gone}
        return sorted(found)

    def tails(self, watched: Sequence[Watched]) -> list[Tail | None]:
        """What `workflow_tails` returns, in one round trip. Raises like `news`."""
        try:
            return workflow_tails(watched, connection=self._opened())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next call of `news` opens a new one."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.close()

    def _ask(
        self, watched: Sequence[Watched], keys: set[str]
    ) -> list[tuple[int | None, str | None]]:
        self._opened()
        # PostgreSQL reads the text of an array faster than psycopg2 writes a list of ids.
        ids = ",".join(each.workflow_id.hex for each in watched)
        afters = ",".join(str(each.after) for each in watched)
        self._cursor.execute(_EXECUTE, (f"{{{ids}}}", f"{{{afters}}}", f"{{{','.join(keys)}}}"))
        found: list[tuple[int | None, str | None]] = self._cursor.fetchall()
        return found

    def _opened(self) -> Connection:
        if self._connection is None or time.monotonic() > self._renews_at:
            self.close()
            self._connection = connect_to_read()
            # SQLAlchemy's part of each execution would be dearer than the rest of it.
            self._cursor = self._connection.connection.cursor()
            self._cursor.execute(_PREPARE)
            self._renews_at = time.monotonic() + _RENEW_SECONDS
        return self._connection
