"""JSON Schema keywords whose time grows linearly with the size of the value.

jsonschema's own keywords compare each item with every other, or run a regular expression that may
never end. Here a regular expression engine with linear time matches patterns
(https://docs.rs/regex/latest/regex/#syntax). It supports neither look-around nor backreferences.
Its time also grows with the size of a pattern, so that size is limited (time_limits.py).
"""

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema
from pydantic_core import ValidationError as NoMatch

from app.payload import whole_numbers
from chains.language.time_limits import (
    MAX_MATCHING,
    MAX_PATTERN,
    MAX_POSITIONS,
    Keyword,
    PatternRefused,
    TakesTooLong,
    check_time,
    pattern_size,
)

_SMALL = 2000


def _compiled(pattern: str, engine: Literal["rust-regex", "python-re"]) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine=engine))


def _matcher(pattern: str) -> SchemaValidator:
    return _small(pattern) if pattern_size(pattern).units <= _SMALL else _large(pattern)


def _either(pattern: str) -> SchemaValidator:
    try:
        return _compiled(pattern, "rust-regex")
    except SchemaError:
        # The definition was registered before patterns outside the linear engine were refused.
        return _compiled(pattern, "python-re")


# A large compiled pattern holds up to 7 MB.
_small = lru_cache(maxsize=1024)(_either)
_large = lru_cache(maxsize=16)(_either)


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
        _compiled(pattern, "rust-regex")
    except PatternRefused as err:
        return str(err)
    except SchemaError as err:
        # The engine's message starts with the place; its last line says what is wrong.
        last = str(err).strip().splitlines()[-1].strip()
        return last.removeprefix("SchemaError: ").removeprefix("error: ")[:200]
    return None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text, in time linear in the length of the text.

    Raise TakesTooLong if the text is too long for the size of the pattern, or if the time limit
    around the check has passed.

    >>> matches("^(a+)+$", "a" * 100_000 + "!"), matches("b", "abc")
    (False, True)
    """
    check_time()
    most = MAX_MATCHING // max(1, pattern_size(pattern).positions)
    if len(text) > most:
        raise TakesTooLong(
            f"cannot be checked: the pattern {pattern[:80]} is matched with texts of at most"
            f" {most} characters, not {len(text)}"
        )
    try:
        _matcher(pattern).validate_python(text)
    except NoMatch:
        return False
    return True


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
