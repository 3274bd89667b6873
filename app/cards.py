"""Finds card numbers in texts and JSON values, so that none is stored or logged. Pure.

A number counts as a card's if it has 13 to 19 digits, with at most a blank or a hyphen between two
of them, begins as a card network's numbers do, and has the right check digit (ISO/IEC 7812-1). Of
random numbers of 16 digits, one in 43 looks so. So a number alone is a suspicion; it is certain if
it is written in groups as on a card, or if a word such as "card" stands near it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MASK = "[card number ending in {}]"
_LEAST = 13
_DIGITS = re.compile(r"\d(?:[ -]?\d){12}")
_RUN = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,}(?![\w-])(?!\.\d)")
_GROUP = re.compile(r"\d+")
_MOST = 19
_LEAST_NUMBER = 2 * 10 ** (_LEAST - 1)
"""No network's numbers begin with 0 or 1, so that no time in milliseconds is looked at."""
_NAMES_OF_NUMBERS = frozenset(("number", "no", "num", "value"))
_MOST_TRIED = 2_000
"""In a longer list of numbers, only so many are looked at: that must not hold up who sends it."""
_GROUPED = re.compile(
    r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}"  # as most networks print them
    r"|\d{4}([ -])\d{6}\2\d{4,5}"  # American Express, Diners Club
)
_EXPIRES = r"exp(?:iry|ires|iration)?"
_WORDS = re.compile(
    r"(?<![a-z\d])(?:credit[ _-]?cards?|debit[ _-]?cards?|cards?|card[ _-]?(?:number|no)|ccnum"
    r"|cvv2?|cvc2?|csc|pan|visa|master[ -]?card|amex|maestro"
    # Signed addresses have parameters of these names: ?exp=1764500000, &X-Amz-Expires=3600. They
    # speak of a card if the value is the number itself (for which a blank stands) or a month and
    # a year.
    rf"|(?<![?&])(?<!amz-)(?<!goog-)(?:cc|{_EXPIRES})|cc(?== )"
    rf"|{_EXPIRES}(?==(?:0[1-9]|1[0-2]|[1-9](?=[%/-]))(?:%2F|[/-])?(?:20)?\d\d(?!\d)))(?![a-z\d])",
    re.IGNORECASE,
)
_NEAR = 40
# The first digits of the networks' numbers, and how long these are. https://www.iso.org/standard/70484.html
# and the networks' own published ranges.
_RANGES: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset((13, 16, 19))),  # Visa
    (51, 55, frozenset((16,))),  # Mastercard
    (2221, 2720, frozenset((16,))),
    (34, 34, frozenset((15,))),  # American Express
    (37, 37, frozenset((15,))),
    (300, 305, frozenset(range(14, 20))),  # Diners Club
    (36, 36, frozenset(range(14, 20))),
    (38, 39, frozenset(range(16, 20))),
    (6011, 6011, frozenset(range(16, 20))),  # Discover
    (644, 659, frozenset(range(16, 20))),
    (3528, 3589, frozenset(range(16, 20))),  # JCB
    (62, 62, frozenset(range(16, 20))),  # UnionPay
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


@dataclass(frozen=True)
class Suspect:
    """What looks like a card number, from `start` to `end` in a text. `is_certain`: it is written
    like one, or the words around it speak of cards."""

    start: int
    end: int
    last4: str
    is_certain: bool


def suspects(text: str, name: str = "") -> Iterator[Suspect]:
    """What looks like card numbers in a text. `name` is that of the field with the text.

    >>> [found.is_certain for found in suspects("pay with 4242 4242 4242 4242")]
    [True]
    >>> [found.is_certain for found in suspects("order 4242424242424242")]
    [False]
    >>> list(suspects("order 4242424242424241"))
    []
    """
    if len(text) < _LEAST or not _DIGITS.search(text):
        return
    left = _MOST_TRIED
    for run in _RUN.finditer(text):
        groups = [(found.start(), found.end()) for found in _GROUP.finditer(text, *run.span())]
        first = 0
        while first < len(groups) and left:
            left -= 1
            found = _longest(text, groups, first)
            if found is None:
                first += 1
                continue
            last, digits = found
            start, end = groups[first][0], groups[last][1]
            around = [groups[n] for n in (first - 1, last + 1) if 0 <= n < len(groups)]
            is_list = any(after - before >= 3 for before, after in around)
            near = text[max(0, start - _NEAR) : start] + " " + text[end : end + _NEAR]
            is_certain = bool(
                (_GROUPED.fullmatch(text, start, end) and not is_list)
                or _WORDS.search(_apart(name))
                or _WORDS.search(near)
            )
            yield Suspect(start, end, digits[-4:], is_certain)
            first = last + 1


def _longest(text: str, groups: list[tuple[int, int]], first: int) -> tuple[int, str] | None:
    """The longest card number of whole groups of digits from one on: the last group, the digits."""
    best, digits = None, ""
    for last in range(first, min(len(groups), first + _MOST)):
        digits += text[slice(*groups[last])]
        if len(digits) > _MOST:
            break
        if len(digits) >= _LEAST and _is_issued(digits) and _is_checked(digits):
            best = last, digits
    return best


def is_certain(text: str, name: str = "") -> bool:
    """Whether a text holds a card number for certain (see `Suspect`)."""
    return any(found.is_certain for found in suspects(text, name))


def masked(text: str) -> str:
    """The text with MASK in place of all that looks like a card number.

    >>> masked("4242424242424242 was declined")
    '[card number ending in 4242] was declined'
    """
    return _without(text, list(suspects(text)))


def may_hold(value: Any) -> bool:
    """Whether a JSON value may hold what looks like a card number, by its digits alone. It is false
    for most values, and costs less than to look for card numbers.

    >>> may_hold({"id": "pi_3Pabc", "amount": 1999}), may_hold(["n", {"a": "4242 4242 4242 4242"}])
    (False, True)
    """
    left = [value]
    while left:
        each = left.pop()
        kind = type(each)  # isinstance() takes half as long again
        if kind is str:
            if len(each) >= _LEAST and _DIGITS.search(each):
                return True
        elif kind is dict:
            left += each
            left += each.values()
        elif kind is list:
            left += each
        elif kind is int or kind is float:
            if each >= _LEAST_NUMBER:
                return True
        elif each is not None and kind is not bool:
            return True  # a kind of text, object or list that is not looked into here
    return False


def without_certain(value: Any, found: list[Suspect], name: str = "") -> Any:
    """Copy a JSON value, with MASK in place of each card number that is certain, also in the names
    of objects. All that looks like a card number, masked or not, is added to `found`.

    `name` is that of the field with the value. A number becomes a text where it is masked.

    >>> without_certain({"pan": 4242424242424242, "id": "4242424242424242"}, [])
    {'pan': '[card number ending in 4242]', 'id': '4242424242424242'}
    """
    if isinstance(value, dict):
        return {
            without_certain(key, found): without_certain(item, found, name_within(name, key))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_certain(item, found, name) for item in value]
    text = written(value)
    if text is None:
        return value
    here = list(suspects(text, name))
    found += here
    certain = [each for each in here if each.is_certain]
    return _without(text, certain) if certain else value


def written(value: Any) -> str | None:
    """How a text or a whole number is written, in which a card number may stand; else None.

    >>> written(4242424242424242.0), written(0.5), written(True)
    ('4242424242424242', None, None)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if isinstance(value, int) or value.is_integer() else None


def name_within(outer: str, name: str) -> str:
    """The name of a field for `suspects`, if the object with the field is called `outer`.

    >>> name_within("card", "number"), name_within("card", "id")
    ('card number', 'id')
    """
    return f"{outer} {name}" if name.lower() in _NAMES_OF_NUMBERS else name


def last_word(name: str) -> str:
    """The last word of the name of a field, in lower case.

    >>> last_word("giftCardId"), last_word("order-id"), last_word("valid")
    ('id', 'id', 'valid')
    """
    return _apart(name).rpartition(" ")[2].lower()


def _without(text: str, found: list[Suspect]) -> str:
    """The text with MASK in place of what was found in it."""
    parts, at = [], 0
    for each in found:
        parts += [text[at : each.start], MASK.format(each.last4)]
        at = each.end
    return "".join((*parts, text[at:]))


def masked_values(value: Any, depth: int = 4) -> Any:
    """The value with the texts and numbers in it masked, in lists and objects of so many levels.
    What is deeper becomes a text, if it holds what looks like a card number."""
    if depth and isinstance(value, dict):
        return {
            masked_values(name, 0): masked_values(each, depth - 1) for name, each in value.items()
        }
    if depth and isinstance(value, list | tuple):
        return type(value)(masked_values(each, depth - 1) for each in value)
    text = str(value) if isinstance(value, dict | list | tuple) else written(value)
    if text is None:
        return value
    hidden = masked(text)
    return value if hidden == text else hidden


def _apart(name: str) -> str:
    """The name of a field with its words apart: cardNumber, card_number."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]", " ", name)


def _is_issued(digits: str) -> bool:
    length = len(digits)
    return any(
        length in lengths and first <= int(digits[: len(str(first))]) <= last
        for first, last, lengths in _RANGES
    )


def _is_checked(digits: str) -> bool:
    """Whether the check digit is right (the Luhn algorithm, ISO/IEC 7812-1)."""
    total = sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(each)] for each in digits[-2::-2])
    return total % 10 == 0
