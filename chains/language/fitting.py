"""Checks whether a template can match a JSON Schema: its literal parts must match.

A reference (`{"$": "<JMESPath>"}`) matches any schema, because its value is known only when the
step runs.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from chains.language.expressions import MARK
from chains.language.faults import Fault, schema_faults
from chains.language.patterns.keywords import KEYWORDS
from chains.language.patterns.time_limits import (
    MOST_SECONDS,
    Keyword,
    TakesTooLong,
    limited,
    time_limit,
)

# The result of these keywords depends on a value as a whole, so a reference inside the value could
# change the result. They are not applied to a value that contains a reference.
_OF_THE_WHOLE = frozenset(
    {
        "const",
        "contains",
        "dependentSchemas",
        "enum",
        "if",
        "not",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    }
)


def misfits(
    template: Any, schema: Any, base: str, *, seconds: float = MOST_SECONDS
) -> Iterator[Fault]:
    """The faults of a template that do not depend on the values of its references.

    The pointer of each fault starts with `base`. If the check takes longer than `seconds` of CPU
    time, it stops and reports that as a fault.
    """
    found: list[Fault] = []
    try:
        with time_limit(seconds):
            for fault in _Validator(schema).iter_errors(template):
                found += schema_faults(fault, base)
    except TakesTooLong as err:
        found.append((base, err.message))
    yield from found


def is_reference(value: Any) -> bool:
    """Whether the value is a reference, which is replaced by another value when the step runs."""
    return isinstance(value, dict) and set(value) == {MARK}


def _holds_reference(value: Any) -> bool:
    if isinstance(value, dict):
        return is_reference(value) or any(map(_holds_reference, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_reference, value))


def _lenient(name: str, keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if is_reference(value) or (name in _OF_THE_WHOLE and _holds_reference(value)):
            return
        applied = _any_of if name == "oneOf" and _holds_reference(value) else keyword
        yield from applied(validator, wanted, value, schema) or ()

    return check


_any_of = KEYWORDS["anyOf"]
# jsonschema's `extend` has no type annotations.
_extend: Any = validators.extend
_Validator: Any = _extend(
    Draft202012Validator,
    limited({name: _lenient(name, keyword) for name, keyword in KEYWORDS.items()}),
)
