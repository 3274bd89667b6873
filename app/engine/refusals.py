"""Tells the operators that a platform refuses our credential or account."""

from app import db, telemetry
from app.errors import NotServed, Unavailable
from app.platform import Action
from app.protocol import platforms

log = telemetry.logger(__name__)


def report(action: Action, err: NotServed) -> None:
    """Mark the action's platform, unless the refusal ends by itself or is one of earlier."""
    if err.ends_by_itself or err.stored:
        return
    log.error("platform.refuses", platform=action.platform, code=err.code, reason=err.message)
    try:
        platforms.report(action.platform, err.message)
    except (Unavailable, *db.UNABLE) as unable:
        # The outcome of the step is recorded all the same; the next attempt reports again.
        log.warning("platform.not_reported", platform=action.platform, exc_info=unable)
