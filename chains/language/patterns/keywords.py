"""JSON Schema keywords whose time grows linearly with the size of the value.

jsonschema's own keywords compare each item with every other, or run a regular expression that may
never end. Here a regular expression engine with linear time matches patterns
(https://docs.rs/regex/latest/regex/#syntax). It supports neither look-around nor backreferences.
Its time also grows with the size of a pattern, so that size is limited (time_limits.py). A child
process does what takes longer than a millisecond (matching.py).
"""

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from app.aside.child import Child, TookTooLong
from app.payload import whole_numbers
from chains.language.patterns import matching
from chains.language.patterns.time_limits import (
    MAX_MATCHING,
    MAX_PATTERN,
    MAX_POSITIONS,
    MOST_SECONDS,
    Keyword,
    PatternRefused,
    TakesTooLong,
    check_time,
    pattern_size,
    seconds_left,
)

AT_ONCE_UNITS = 2000
"""The largest size of a pattern that this process compiles; that takes it about a millisecond."""
AT_ONCE_MATCHING = 20_000
"""The most characters of a text, times the positions of its pattern, that are matched at once."""

_LEAST_SECONDS = 0.5
"""What is linear takes less, so only what would run on and on ends its child."""

_child = Child("chains.language.patterns.matching")


def pattern_fault(pattern: str) -> str | None:
    """The reason why the text cannot be used as a pattern; None if it can."""
    if len(pattern) > MAX_PATTERN:
        return f"it has more than {MAX_PATTERN} characters"
    try:
        size = pattern_size(pattern)
        if size.units > MAX_PATTERN:
            return (
                f"it is too large ({size.units} of {MAX_PATTERN}): repeat less, use maxLength,"
                r" or write [A-Za-z0-9_] for \w"
            )
        if size.positions > MAX_POSITIONS:
            return (
                f"it has {size.positions} positions, with its repetitions written out, and"
                f" {MAX_POSITIONS} are allowed: repeat less, or use maxLength"
            )
    except PatternRefused as err:
        return str(err)
    if size.units <= AT_ONCE_UNITS:
        return matching.refusal(pattern)
    try:
        refused, _ = _child.run("refuse", {"pattern": pattern}, cpu_seconds=MOST_SECONDS)
    except TookTooLong:
        return "its compilation takes too long: make it smaller"
    return None if refused is None else str(refused)


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text, in time linear in the length of the text.

    Raise TakesTooLong if the text is too long for the size of the pattern, or if the time limit
    around the check has passed.

    >>> matches("^(a+)+$", "a" * 100_000 + "!"), matches("b", "abc")
    (False, True)
    """
    check_time()
    size = pattern_size(pattern)
    most = MAX_MATCHING // max(1, size.positions)
    if len(text) > most:
        raise TakesTooLong(
            f"cannot be checked: the pattern {pattern[:80]} is matched with texts of at most"
            f" {most} characters, not {len(text)}"
        )
    is_large = size.units > AT_ONCE_UNITS
    found = None
    if not is_large and len(text) * size.positions <= AT_ONCE_MATCHING:
        found = matching.found_at_once(pattern, text)
    return _found_aside(pattern, text, is_large) if found is None else found


def _found_aside(pattern: str, text: str, is_large: bool) -> bool:
    """The same by a child process, so that the other threads of this one go on."""
    asked = {"pattern": pattern, "is_large": is_large}
    seconds = min(MOST_SECONDS, max(_LEAST_SECONDS, seconds_left()))
    try:
        found, _ = _child.run(
            "find", asked, text.encode("utf-8", "surrogatepass"), cpu_seconds=seconds
        )
    except TookTooLong as err:
        raise TakesTooLong from err
    return bool(found)


def extra_names(given: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """The names in an object that neither `properties` nor `patternProperties` covers."""
    known, patterns = schema.get("properties", {}), [*schema.get("patternProperties", {})]
    return [
        name for name in given if name not in known and not any(matches(p, name) for p in patterns)
    ]


def _pattern(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not matches(wanted, value):
        yield ValidationError(f"does not match {wanted}")


def _pattern_properties(
    validator: Any, wanted: Any, value: Any, _: Any
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, schema in wanted.items():
        for name, item in value.items():
            if matches(pattern, name):
                yield from validator.descend(item, schema, path=name, schema_path=pattern)


def _additional(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    extra = extra_names(value, schema)
    if isinstance(wanted, dict):
        for name in extra:
            yield from validator.descend(value[name], wanted, path=name)
    elif wanted is False and extra:
        yield ValidationError(f"contains unknown fields: {', '.join(extra)[:200]}")


def _unique(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if not wanted or not isinstance(value, list | tuple):
        return
    seen: dict[str, int] = {}
    for number, item in enumerate(value):
        first = seen.setdefault(json.dumps(whole_numbers(item), sort_keys=True), number)
        if first != number:
            yield ValidationError(f"contains an item twice: {first} and {number}")
            return


def _multiple(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    # JSON numbers are decimals: 19.99 is a multiple of 0.01, although the floats are not.
    if (Fraction(str(value)) / Fraction(str(wanted))).denominator != 1:
        yield ValidationError(f"must be a multiple of {wanted}")


KEYWORDS: dict[str, Keyword] = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional,
    "uniqueItems": _unique,
    "multipleOf": _multiple,
}
"""All keywords of Draft 2020-12; some are replaced by the functions above."""


def formats() -> FormatChecker:
    """A checker of formats whose format `regex` accepts only patterns of the linear engine."""
    checker = FormatChecker(set(FormatChecker.checkers) - {"regex"})
    checker.checks("regex")(_is_pattern)
    return checker


def _is_pattern(value: object) -> bool:
    return not isinstance(value, str) or pattern_fault(value) is None
