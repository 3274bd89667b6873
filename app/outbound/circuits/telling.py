"""Tells operators that a circuit has opened or closed: in the log, the metrics and the database.

Outage mode: open. Without PostgreSQL the change stays in the log; the next change is told again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from app import db, telemetry
from app.errors import Unavailable
from app.outbound.circuits.core import OPEN

log = telemetry.logger(__name__)


@dataclass(frozen=True)
class Change:
    """A circuit has opened or closed. `until` is when an open one lets a call through."""

    platform: str
    operation: str
    state: str
    why: str
    until: datetime | None
    at_ms: int
    """When it changed, by the clock that the circuit goes by, in Unix milliseconds."""


def tell(change: Change) -> None:
    """Tell of one change."""
    telemetry.CIRCUITS.labels(change.platform, change.operation, change.state).inc()
    told = {"platform": change.platform, "operation": change.operation}
    if change.state == OPEN:
        log.warning("circuit.opened", **told, reason=change.why, until=str(change.until))
    else:
        log.info("circuit.closed", **told)
    try:
        db.row(
            "SELECT report_circuit_v1(%s, %s, %s, %s, %s, %s)",
            (
                change.platform,
                change.operation,
                change.state,
                change.why,
                change.until,
                datetime.fromtimestamp(change.at_ms / 1000.0, UTC),
            ),
        )
    except (Unavailable, *db.UNABLE) as err:
        log.warning("circuit.not_recorded", **told, error=str(err).strip()[:200])
