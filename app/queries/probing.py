"""Asks often whether there are new events of many workflows, which costs little if there are none.

`workflow_tails` reads three tables and more columns. `news` is one prepared statement on a
connection that is kept. It searches two indexes and reads no row. Without a replica, the connection
also waits for announcements (app/protocol/watched.py), so that it need not ask so often.
"""

import select
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from app import db
from app.db import PooledConnection
from app.protocol import watched as announcing
from app.queries.happenings import Tail, Watched, workflow_tails

T = TypeVar("T")

_RENEW_SECONDS = 60.0
"""The connection is replaced after this time if there is a replica, which may be reachable again.
"""

# Without LIMIT, PostgreSQL could plan a join that reads the whole table of events, and keep this
# plan while the table grows.
_TYPES = "uuid[], integer[], text[]"
_NEWS = """
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


class Probe:
    """Finds the workflows that have news. Only one thread at a time may use it.

    After an error each method closes the connection; `open` opens a new one. Every method raises
    psycopg2's errors.
    """

    def __init__(self) -> None:
        self._connection: PooledConnection | None = None
        self._renews_at = 0.0
        self.is_told = False
        """Whether events of workflows that were given to `watch` are announced to `wait`."""

    def open(self) -> bool:
        """Open a connection if there is none or if it is too old; returns whether it did.

        A new connection knows nothing of earlier calls of `watch`.
        """
        if self._connection is not None and time.monotonic() < self._renews_at:
            return False
        self.close()
        has_replica = db.has_replica()
        opened = db.connect_to_read(application="playalter-streams")
        self._connection = opened
        try:
            # PostgreSQL would plan each execution anew, which costs more than to execute it.
            opened.cursor.execute("SET plan_cache_mode = force_generic_plan")
            if not has_replica:
                announcing.listen(opened)
        except BaseException:
            self.close()
            raise
        self.is_told = not has_replica
        self._renews_at = time.monotonic() + (_RENEW_SECONDS if has_replica else float("inf"))
        return True

    def news(self, watched: Sequence[Watched]) -> list[int]:
        """The positions of those with events that the user has not received, or whose API key is
        not valid any more."""
        if not watched:
            return []
        keys = {each.key_prefix for each in watched}
        # PostgreSQL reads the text of an array faster than psycopg2 writes a list of ids.
        ids = ",".join(each.workflow_id.hex for each in watched)
        afters = ",".join(str(each.after) for each in watched)
        asked = (f"{{{ids}}}", f"{{{afters}}}", f"{{{','.join(keys)}}}")
        rows = self._with(lambda connection: connection.execute("news", _TYPES, asked, _NEWS))
        found = {row["number"] - 1 for row in rows if row["number"] is not None}
        gone = {row["gone_key"] for row in rows}
        found |= {n for n, each in enumerate(watched) if each.key_prefix in gone}
        return sorted(found)

    def tails(self, watched: Sequence[Watched]) -> list[Tail | None]:
        """What `workflow_tails` returns, in one round trip."""
        return self._with(lambda connection: workflow_tails(watched, connection=connection))

    def watch(self, workflows: Iterable[UUID]) -> None:
        """Let events of these workflows be announced (see `app.protocol.watched.watch`).

        This is all that a probe changes: who is told, and nothing that a query shows.
        """
        self._with(lambda connection: announcing.watch(connection, workflows))

    def wait(self, seconds: float, bell: int) -> dict[UUID, int]:
        """Wait up to `seconds` for announcements, or until the file `bell` can be read.

        Returns the number of the last announced event of each workflow. Without a connection, it
        opens none.
        """
        if self._connection is None:
            _await_input(seconds, bell)
            return {}
        return self._with(lambda connection: self._announced(connection, seconds, bell))

    def close(self) -> None:
        """Close the connection; the next call of a method opens a new one."""
        closing, self._connection = self._connection, None
        if closing is not None:
            closing.connection.close()

    def _announced(
        self, connection: PooledConnection, seconds: float, bell: int
    ) -> dict[UUID, int]:
        if found := announcing.announced(connection, is_read=True):
            return found
        _await_input(seconds, bell, *([connection.connection.fileno()] if self.is_told else []))
        return announcing.announced(connection)

    def _with(self, use: Callable[[PooledConnection], T]) -> T:
        self.open()
        assert self._connection is not None
        try:
            return use(self._connection)
        except BaseException:
            self.close()
            raise


def _await_input(seconds: float, *files: int) -> None:
    """Wait up to `seconds` until one of the files can be read."""
    # Not select(), which takes no file whose number is above 1023.
    waiting = select.poll()
    for file in files:
        waiting.register(file, select.POLLIN)
    waiting.poll(max(0.0, seconds) * 1000)
