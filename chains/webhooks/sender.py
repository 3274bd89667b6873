"""The sender of webhooks: a process that claims what is due and sends it, many at the same time.

Several may run. PostgreSQL decides what each gets (see claim_webhook_sendings_v1), so that one
endpoint never has more than four at the same time. A sender that dies loses nothing: what it had
is claimed again when its leases have ended, so an endpoint may get a message twice.
"""

import resource
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import UUID

import structlog

from app import db, settings, telemetry
from app.db import AWAY
from app.errors import Unavailable
from chains.webhooks import endpoints
from chains.webhooks.attempt import Attempt, Sending, deliver

log = structlog.get_logger()

QUICK = 64
"""The most attempts at endpoints that answer within a second."""
SLOW = 32
"""The most attempts at other endpoints: those that are slow, fail, or have not answered yet."""
MOST = 128
"""The most attempts in all. An endpoint that was quick may hang, and so may many of them at once:
what has lasted for LONG_SECONDS takes no room of QUICK any more."""
LONG_SECONDS = 2.0
POLL_SECONDS = 0.25
_PAUSE_SECONDS = 0.02
"""The pause before a claim, in which several attempts may end, so that one claim follows on all."""
_AWAY_SECONDS = 2.0
_FILES = 4096
"""The most open files, if the system allows it: each thread may keep ten connections to servers
that do not close them."""
_IMPORTED_LATE = ("requests", "tenacity")
"""What the seam imports at its first request, which would lose a second of its time."""
_CLAIM_TYPES = "integer, integer, double precision"


@dataclass(frozen=True)
class _Flight:
    """An attempt in progress."""

    since: float
    is_slow: bool


class Sender:
    """Sends what is due, until `stop` is called."""

    def __init__(self) -> None:
        self.is_stopping = False
        self._turn = threading.Event()
        """Set when an attempt has ended, so that there is room for another one."""
        self._flights: dict[UUID, _Flight] = {}
        self._pool = ThreadPoolExecutor(MOST, thread_name_prefix="webhook")
        for library in _IMPORTED_LATE:
            import_module(library)

    def run(self) -> None:
        """Send until `stop` is called; then wait for the attempts in progress."""
        while not self.is_stopping:
            if not self.try_pass():
                self._turn.wait(POLL_SECONDS)
            self._turn.clear()
            time.sleep(_PAUSE_SECONDS)
        self.close()

    def try_pass(self) -> bool:
        """Claim what is due and begin to send it; return whether there was anything.

        Logs a failure, and does not raise it.
        """
        try:
            return self.send_due() > 0
        except (*AWAY, Unavailable) as err:
            log.warning("webhooks.database_away", error=str(err).strip()[:300])
        except Exception as err:  # no other part of this process sends anything, so it must go on
            log.error("webhooks.pass_failed", exc_info=err)
        time.sleep(_AWAY_SECONDS)
        return False

    def send_due(self) -> int:
        """Claim what is due, as far as there is room, begin to send it, and return how many."""
        quick, slow = self._room()
        if quick <= 0 and slow <= 0:
            return 0
        since = time.monotonic()
        rows = db.prepared(
            "claim_webhook_sendings_v1",
            _CLAIM_TYPES,
            (max(quick, 0), max(slow, 0), settings.current().lease_seconds),
        )
        for row in rows:
            sending = Sending(**row)
            self._flights[sending.fence] = _Flight(since, sending.is_slow)
            self._pool.submit(self._send, sending, since)
        return len(rows)

    @property
    def is_sending(self) -> bool:
        """Whether an attempt is in progress."""
        return bool(self._flights)

    def wait(self, seconds: float) -> bool:
        """Wait until no attempt is in progress; return whether that came within `seconds`."""
        ends = time.monotonic() + seconds
        while self._flights and time.monotonic() < ends:
            self._turn.wait(0.05)
            self._turn.clear()
        return not self._flights

    def stop(self, *_: Any) -> None:
        """Ask the sender to stop; this is also its signal handler."""
        self.is_stopping = True

    def close(self) -> None:
        """Wait for the attempts in progress, and end the threads."""
        self._pool.shutdown(wait=True)

    def _room(self) -> tuple[int, int]:
        """How many more attempts may begin: at quick endpoints, and at the others."""
        now, flights = time.monotonic(), list(self._flights.values())
        slow = sum(each.is_slow for each in flights)
        quick = sum(not each.is_slow and now - each.since < LONG_SECONDS for each in flights)
        free = MOST - len(flights)
        for_quick = min(QUICK - quick, free)
        return for_quick, min(SLOW - slow, free - for_quick)

    def _send(self, sending: Sending, since: float) -> None:
        try:
            attempt = deliver(sending, since)
            if attempt is not None:
                _record(sending, attempt)
        except (*AWAY, Unavailable) as err:
            log.warning("webhooks.not_recorded", error=str(err).strip()[:300])
        except Exception as err:  # a thread that ends so would leave the reason to nobody
            log.error("webhooks.attempt_failed", endpoint=str(sending.endpoint_id), exc_info=err)
        finally:
            self._flights.pop(sending.fence, None)
            self._turn.set()


def _record(sending: Sending, attempt: Attempt) -> None:
    verdict = attempt.verdict
    result = endpoints.record(sending, attempt)
    telemetry.webhook_sent(verdict.word, attempt.milliseconds / 1000)
    said: Mapping[str, Any] = {
        "endpoint": str(sending.endpoint_id),
        "message": str(sending.message_id),
        "status": attempt.status,
        "error": attempt.error,
        "verdict": verdict.word,
        "milliseconds": attempt.milliseconds,
    }
    (log.debug if verdict.word == "delivered" else log.info)("webhook.attempt", **said)
    if result == "disabled":
        log.warning("webhook.endpoint_disabled", **said)
        endpoints.miss(sending.endpoint_id)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    sender = Sender()
    signal.signal(signal.SIGTERM, sender.stop)
    signal.signal(signal.SIGINT, sender.stop)
    log.info("hooks.started")
    sender.run()
    db.release()
    log.info("hooks.stopped")
