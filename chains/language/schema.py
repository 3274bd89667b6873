"""Checks a workflow's input and output against the JSON Schemas of its definition.

Two keywords are our own. `"artifact": true` marks a string that must be the id of an artifact of
the caller. `"past": true` marks a string that must be a time in the past.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from app.errors import InvalidInput
from chains.language.patterns.keywords import KEYWORDS, extra_names, formats
from chains.language.patterns.time_limits import TakesTooLong, limited, time_limit
from chains.language.schema_rules import referred

MAX_FAULTS = 20


def _artifact(_: Any, is_artifact: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if is_artifact and isinstance(value, str) and _uuid(value) is None:
        yield ValidationError(f"{value[:80]!r} is not an artifact's id")


def _past(_: Any, is_past: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    """`"past": true`: a date or an instant (ISO 8601), at most one day in the future."""
    if not is_past or not isinstance(value, str):
        return
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        yield ValidationError("must be a date or an instant such as 2026-11-22T10:00:00Z")
        return
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    if instant > datetime.now(UTC) + timedelta(days=1):
        yield ValidationError("must not lie in the future")


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


# jsonschema's `extend` has no type annotations.
_extend: Any = validators.extend
_Validator: Any = _extend(
    Draft202012Validator,
    limited({**KEYWORDS, "artifact": _artifact, "past": _past}),
)


@lru_cache(maxsize=1)
def _formats() -> FormatChecker:
    return formats()


def validator(schema: Mapping[str, Any]) -> Any:
    """A validator of jsonschema with our keywords and formats."""
    return _Validator(schema, format_checker=_formats())


class _Same:
    """A schema as the key of a cache, which compares objects and not their contents."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.schema is self.schema


@lru_cache(maxsize=128)
def _validator(same: _Same) -> Any:
    """The validator of a schema that does not change, such as that of a stored definition.

    To make one takes longer than to check a small input.
    """
    return validator(same.schema)


def check_shape(schema: dict[str, Any], value: Any) -> None:
    """Check a workflow's input; raise InvalidInput, with up to MAX_FAULTS faults, if it is wrong.

    The pointers start with `/input`. This does not check whether an artifact exists.
    """
    try:
        with time_limit():
            faults = _validator(_Same(schema)).iter_errors(value)
            found = [(_pointer(fault), _message(fault)) for fault in faults]
    except TakesTooLong as err:
        raise InvalidInput(err.message, field="/input") from err
    refuse_faults(found)


def refuse_faults(faults: list[tuple[str, str]]) -> None:
    """Raise InvalidInput with these faults, pairs (pointer, words); do nothing if there is none."""
    if faults:
        faults = sorted(faults)[:MAX_FAULTS]
        raise InvalidInput(faults[0][1], field=faults[0][0], errors=tuple(faults))


def check_output(schema: Mapping[str, Any] | None, value: Any) -> None:
    """Check a workflow's output; raise InvalidInput, with the first fault, if it is wrong."""
    if schema is None:
        return
    try:
        with time_limit():
            fault = next(validator(schema).iter_errors(value), None)
    except TakesTooLong as err:
        raise InvalidInput(f"/output: {err.message}", field="/output") from err
    if fault is not None:
        where = _pointer(fault).replace("/input", "/output", 1)
        raise InvalidInput(f"{where}: {_message(fault)}", field=where)


def _pointer(fault: ValidationError) -> str:
    path: Any = fault.absolute_path
    parts = [str(part) for part in path]
    if fault.validator == "required":
        # jsonschema reports each missing name separately, and puts the name only into the message.
        wanted: Any = fault.validator_value
        parts.append(next(name for name in wanted if fault.message.startswith(repr(name))))
    if fault.validator == "additionalProperties":
        known: Any = fault.schema
        given: Any = fault.instance
        parts.append(extra_names(given, known)[0])
    return "/".join(["/input", *(part.replace("~", "~0").replace("/", "~1") for part in parts)])


def _message(fault: ValidationError) -> str:
    """The text for one error of JSON Schema. It does not contain the wrong value."""
    hint = fault.schema.get("x-hint") if isinstance(fault.schema, dict) else None
    wanted: Any = fault.validator_value
    if hint and fault.validator in {"pattern", "enum"}:
        return f"must be {hint}"
    words = {
        "required": "this field is required",
        "additionalProperties": "this field is not known",
        "type": f"must be of type {wanted}",
        "enum": f"must be one of {', '.join(map(str, wanted))}" if _is_list(wanted) else "",
        "pattern": f"does not match {wanted}",
        "minLength": "must not be empty" if wanted == 1 else f"is shorter than {wanted} characters",
        "maxLength": f"is longer than {wanted} characters",
        "minItems": f"needs at least {wanted} items",
        "maxItems": f"takes at most {wanted} items",
        "minimum": f"must be at least {wanted}",
        "maximum": f"must be at most {wanted}",
        "maxProperties": f"takes at most {wanted} fields",
        "minProperties": f"needs at least {wanted} fields",
    }.get(str(fault.validator))
    return f"{words or fault.message[:300]}{f' ({hint})' if hint else ''}"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def artifacts_in(schema: Any, value: Any, pointer: str, root: Any) -> Iterator[tuple[str, UUID]]:
    """The artifacts in a value, as pairs (pointer, id): each place that the schema marks as one.

    `root` is the whole schema; references in it are followed. This always ends, because a schema
    with an endless reference is refused when it is registered.
    """
    if not isinstance(schema, dict):
        return
    if schema.get("artifact") and isinstance(value, str):
        yield pointer, UUID(value)
    if "$ref" in schema:
        yield from artifacts_in(referred(schema["$ref"], root), value, pointer, root)
    for inner in schema.get("allOf", []):
        yield from artifacts_in(inner, value, pointer, root)
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from artifacts_in(inner, value[name], f"{pointer}/{name}", root)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from artifacts_in(schema.get("items"), item, f"{pointer}/{index}", root)
