"""Says in PostgreSQL, every second, that a web server is there to receive webhooks.

If none was there for a while, the reconciler polls the platforms for what they may have sent
meanwhile (see chains/repair/lost_webhooks.py).
"""

import threading
import time

from app import db
from app.telemetry import logger

BEAT_SECONDS = 1.0

log = logger("web")


def begin() -> None:
    """Start the thread that writes the heartbeat until the process ends."""
    threading.Thread(target=_beat_forever, daemon=True, name="front-heartbeat").start()


def _beat_forever() -> None:
    db.dedicate()
    is_start = True
    while True:
        try:
            db.row("SELECT front_beat_v1(%s)", (is_start,))
            is_start = False
        except Exception as err:  # noqa: BLE001 - without this thread, no front would come back
            log.warning("front.beat_failed", error=str(err).strip()[:200])
        time.sleep(BEAT_SECONDS)
