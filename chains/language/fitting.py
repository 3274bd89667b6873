"""Whether a template can fit a JSON Schema: its literal parts must, a reference may be anything.

`{"$": "<JMESPath>"}` is taken for a value of whatever kind is wanted.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from chains.language.expressions import MARK
from chains.language.faults import Fault, schema_faults
from chains.language.keywords import KEYWORDS
from chains.language.time_limits import MOST_SECONDS, Keyword, TakesTooLong, limited, time_limit

# These judge a value as a whole: what a reference will bring may turn the answer round.
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


TAKES_TOO_LONG = "cannot be checked against its schema: that takes too long"


def misfits(
    template: Any, schema: Any, base: str, *, seconds: float = MOST_SECONDS
) -> Iterator[Fault]:
    """Every (pointer under `base`, what is wrong) that no value of the references can mend."""
    found: list[Fault] = []
    try:
        with time_limit(seconds):
            for fault in _Validator(schema).iter_errors(template):
                found += schema_faults(fault, base)
    except TakesTooLong:
        found.append((base, TAKES_TOO_LONG))
    yield from found


def is_reference(value: Any) -> bool:
    """Whether the value stands for another that is found when the step runs."""
    return isinstance(value, dict) and set(value) == {MARK}


def _holds_reference(value: Any) -> bool:
    if isinstance(value, dict):
        return is_reference(value) or any(map(_holds_reference, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_reference, value))


def _lenient(name: str, keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if is_reference(value) or (name in _OF_THE_WHOLE and _holds_reference(value)):
            return
        told = _any_of if name == "oneOf" and _holds_reference(value) else keyword
        yield from told(validator, wanted, value, schema) or ()

    return check


_any_of = KEYWORDS["anyOf"]
# jsonschema's `extend` carries no annotations.
_extend: Any = validators.extend
_Validator: Any = _extend(
    Draft202012Validator,
    limited({name: _lenient(name, told) for name, told in KEYWORDS.items()}),
)
