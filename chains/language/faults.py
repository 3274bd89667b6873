"""Faults of definitions. A fault is a pair: the JSON pointer to its place, and what is wrong."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from jsonschema import ValidationError

from app.errors import InvalidInput

Fault = tuple[str, str]
Place = tuple[str | int, ...]

MAX_FAULTS = 20
_LONGEST_NAME = 80
_COMPARED = 300


class DefinitionRefused(InvalidInput):
    """Raised if a definition fails its checks; `errors` contains its faults, at most 20."""

    default_code = "definition_invalid"


def refused(faults: Iterable[Fault]) -> DefinitionRefused:
    """Return the error that reports these faults; there must be at least one fault."""
    found = tuple(dict.fromkeys(faults))[:MAX_FAULTS]
    place, words = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    message = f"{place or 'the definition'}: {words}{more}"
    return DefinitionRefused(message, field=place, errors=found)


def pointer(place: Iterable[str | int]) -> str:
    """The JSON pointer of a place in a document (RFC 6901).

    >>> pointer(("input", "a/b", 0))
    '/input/a~1b/0'
    """
    text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)
    return text.encode("utf-8", "replace").decode()


def near(name: str, known: Iterable[str]) -> str:
    """The end of a message that suggests known names which resemble `name`; empty if none does.

    >>> near("control.noob", ["control.noop", "media.render"])
    "; did you mean 'control.noop'?"
    """
    # The comparison takes quadratic time, so long names and long lists are left out.
    short = [each for each in islice(known, _COMPARED) if len(each) <= _LONGEST_NAME]
    found = get_close_matches(name, short, n=3) if len(name) <= _LONGEST_NAME else []
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def schema_faults(fault: ValidationError, base: str) -> Iterator[Fault]:
    """The faults that an error of JSON Schema contains.

    The pointer of each fault starts with `base`. The text does not contain the wrong value.
    """
    branches = [
        inner
        for inner in fault.context or ()
        if not (isinstance(inner.schema, dict) and inner.schema.get("type") == "null")
    ]
    if fault.validator in ("anyOf", "oneOf") and branches:
        # If the value may match one schema or be null, report only the faults of that schema.
        ways = {inner.schema_path[0] for inner in branches}
        if len(ways) == 1:
            for inner in branches:
                yield from schema_faults(inner, base)
            return
    place: list[str | int] = list(fault.absolute_path)
    given: Any = fault.instance
    schema: Any = fault.schema
    wanted: Any = fault.validator_value
    if fault.validator == "required":
        for name in wanted:
            if name not in given and repr(name) in fault.message:
                yield base + pointer([*place, name]), "this field is required"
        return
    if fault.validator == "additionalProperties" and isinstance(given, dict):
        known = schema.get("properties", {}) if isinstance(schema, dict) else {}
        for name in given:
            if name not in known:
                words = f"this field is not known{near(name, known) or _listed(known)}"
                yield base + pointer([*place, name]), words
        return
    yield base + pointer(place), schema_words(fault)


def schema_words(fault: ValidationError) -> str:
    """The text for one error of JSON Schema. It does not contain the wrong value."""
    wanted: Any = fault.validator_value
    if fault.validator in ("anyOf", "oneOf") and all(map(_only_requires, wanted)):
        names = ", ".join(" and ".join(each["required"]) for each in wanted)
        how_many = "exactly" if fault.validator == "oneOf" else "at least"
        return f"needs {how_many} one of: {names}"
    words = {
        "type": f"must be of type {_either(wanted)}",
        "enum": f"must be one of {_either(wanted)}",
        "const": f"must be {wanted!r}",
        "pattern": f"does not match {wanted}",
        "minLength": "must not be empty" if wanted == 1 else f"is shorter than {wanted} characters",
        "maxLength": f"is longer than {wanted} characters",
        "minItems": "must not be empty" if wanted == 1 else f"needs at least {wanted} items",
        "maxItems": f"takes at most {wanted} items",
        "minimum": f"must be at least {wanted}",
        "maximum": f"must be at most {wanted}",
        "maxProperties": f"takes at most {wanted} fields",
        "minProperties": f"needs at least {wanted} fields",
        "exclusiveMinimum": f"must be more than {wanted}",
        "exclusiveMaximum": f"must be less than {wanted}",
        "anyOf": "fits none of the shapes that are allowed here",
        "oneOf": "does not fit exactly one of the shapes that are allowed here",
    }.get(str(fault.validator))
    return words or fault.message[:300]


def _only_requires(schema: Any) -> bool:
    return isinstance(schema, dict) and set(schema) == {"required"}


def _either(wanted: Any) -> str:
    return ", ".join(map(str, wanted)) if isinstance(wanted, list | tuple) else str(wanted)


def _listed(known: Iterable[str]) -> str:
    names = ", ".join(sorted(known)[:12])
    return f"; there are: {names}" if names else "; there are none"
