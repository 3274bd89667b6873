"""Accepts a verified webhook: stores it, then wakes the step that waits for it."""

from functools import lru_cache

from app.platform import Delivery
from app.protocol.deliveries import keep_delivery
from chains import waking
from chains.actions import actions


def accept_delivery(platform: str, delivery: Delivery) -> bool:
    """Store the webhook, then wake the step that waits for it; return False for a duplicate."""
    is_new = keep_delivery(platform, delivery, _traced())
    if delivery.external_id is not None:
        waking.wake(platform, delivery.external_id)
    return is_new


@lru_cache(maxsize=1)
def _traced() -> list[str]:
    return sorted(name for name, action in actions().items() if action.is_traced)
