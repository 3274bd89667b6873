"""Accepts a verified webhook: stores it, then wakes the step that waits for it."""

from functools import lru_cache

from app.platform import Delivery
from app.protocol.deliveries import keep_delivery
from chains import waking
from chains.actions import actions


def accept_delivery(platform: str, delivery: Delivery) -> bool:
    """Store the webhook and wake the step that waits for it.

    Return False if the same webhook was already stored.
    """
    is_new = keep_delivery(platform, delivery, _traced(platform))
    if delivery.external_id is not None:
        waking.wake(platform, delivery.external_id)
    return is_new


@lru_cache(maxsize=64)
def _traced(platform: str) -> list[str]:
    found = actions().items()
    return sorted(name for name, each in found if each.is_traced and each.platform == platform)
