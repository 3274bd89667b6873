"""Masks the numbers of payment cards in what platforms send, before any of it is stored.

A request of a user is refused instead (web/bodies.py), because the user can correct it. What a
platform has sent stays as it is there, and the effect that it reports must be recorded.

Some ids and addresses look like card numbers (codes of gift cards, long numbers in signed
addresses), and are masked too. Nothing can be found by a masked one. A platform would answer 'not
found', which an undo or a lookup takes for 'gone' or 'never made'. So `refuse_masked` refuses it
before a platform is called. It decides by the role of a field, because a text for people may hold
a masked number: a caption or a note is sent as it is recorded.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import structlog

from app import cards
from app.cards import Suspect
from app.errors import Permanent

log = structlog.get_logger()

Value = TypeVar("Value")

MASKED = "card_number_masked"
"""The code of the refusal."""
_BLANK = r"(?: |\+|%20)"
_MASK = re.compile(rf"card{_BLANK}number{_BLANK}ending{_BLANK}in{_BLANK}\d{{4}}")
_WHOLE = re.compile(rf"\s*\[{_MASK.pattern}\]\s*")
_ADDRESS = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]*://\S+\s*")
_ROLES = frozenset(
    (
        *("id", "ids", "uid", "uuid", "guid", "key", "keys", "code", "codes", "token", "path"),
        *("ref", "refs", "reference", "references"),
        *("url", "urls", "uri", "uris", "href", "link", "links"),
    )
)
"""What the last word of a field's name is, if its text is an id or an address."""
_SEARCHES = frozenset(("query", "params", "headers"))
"""The objects whose fields are ids, addresses or conditions under any name, if their text is
nothing but the mask."""


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


def is_masked(text: str) -> bool:
    """Whether a text holds the mask of a card number, also as it is written in an address.

    >>> is_masked("/cards/%5Bcard%20number%20ending%20in%204242%5D"), is_masked("a card number")
    (True, False)
    """
    return _MASK.search(text) is not None


def refuse_masked(value: Any, of: str, then: str) -> None:
    """Raise Permanent if an id or an address in a JSON value holds the mask of a card number.

    That is a text which is an address, a text in a field whose name says so (`order_id`, `url`),
    or one that is nothing but the mask and is a condition of a search. `of` and `then` are words
    for the message: what the value is, and what a person can do.
    """
    place = next(_masked_roles(value, "", ""), None)
    if place is not None:
        raise refusal(f"{of} {place}", then)


def refusal(place: str, then: str) -> Permanent:
    """The error for an id or an address at `place` that is masked; `then` is what can be done."""
    return Permanent(
        f"{place} is an id or an address in which a number was masked, because it looked like the"
        f" number of a payment card; nothing was sent, as nothing can be found by it. {then}",
        code=MASKED,
    )


def _masked_roles(value: Any, name: str, place: str, *, searches: bool = False) -> Iterator[str]:
    """The places (JSON pointers) of ids and addresses with a mask in them."""
    if isinstance(value, dict):
        within = searches or name.lower() in _SEARCHES
        for key, item in value.items():
            yield from _masked_roles(item, str(key), f"{place}/{key}", searches=within)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _masked_roles(item, name, f"{place}/{number}", searches=searches)
    elif isinstance(value, str) and is_masked(value):
        is_whole = searches and _WHOLE.fullmatch(value)
        is_address = _ADDRESS.fullmatch(_MASK.sub("", value))
        if is_whole or is_address or cards.last_word(name) in _ROLES:
            yield place
