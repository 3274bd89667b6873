"""Masks the numbers of payment cards in what platforms send, before any of it is stored.

A request of a user is refused instead (web/bodies.py), because the user can correct it. What a
platform has sent stays as it is there, and the effect that it reports must be recorded.
"""

from typing import TypeVar

import structlog

from app import cards
from app.cards import Suspect

log = structlog.get_logger()

Value = TypeVar("Value")


def without_card_numbers(value: Value, place: str) -> Value:
    """The JSON value with the last four digits only of each number that is certainly a card's.

    `place` says in the metrics and in the log where the value came from. A number that only looks
    like a card's is counted and left, because ids of platforms look so too.
    """
    if not value or not cards.may_hold(value):
        return value
    # Imported late: whoever imports actions may not have set the folder of its metrics yet.
    from app.telemetry import card_number_masked, card_number_suspected

    found: list[Suspect] = []
    masked: Value = cards.without_certain(value, found)
    if not found:
        return value
    if not any(each.is_certain for each in found):
        card_number_suspected(place)
        return value
    card_number_masked(place)
    log.warning("card_number.masked", place=place)
    return masked
