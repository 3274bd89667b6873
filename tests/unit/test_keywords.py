"""Inputs against their schemas: no input makes its check long, each fault stands at its place."""

import time
from typing import Any

import pytest

from app.errors import InvalidInput
from chains.language.schema import check_shape

LIST = {"properties": {"list": {"uniqueItems": True}}}
NESTING = {"properties": {"a": {"pattern": "^(a+)+$"}}}
NESTING_NAMES = {"patternProperties": {"^(a+)+$": {"type": "integer"}}}
CLOSED = {"patternProperties": {"^x": {}, "^(a+)+$": {}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        (LIST, {"list": [{"n": n} for n in range(60_000)]}, None),
        (LIST, {"list": [{"n": n % 59_999} for n in range(60_000)]}, ("/input/list", "twice")),
        (NESTING, {"a": "a" * 60 + "!"}, ("/input/a", "does not match")),
        (NESTING_NAMES, {"a" * 60 + "!": "text"}, None),
        (CLOSED, {"a" * 60 + "!": 1}, (f"/input/{'a' * 60}!", "not known")),
    ],
    ids=["distinct", "twice", "pattern", "names", "closed"],
)
def test_no_input_makes_its_check_take_long(
    schema: dict[str, Any], value: dict[str, Any], told: tuple[str, str] | None
) -> None:
    began = time.process_time()
    found = _faults(schema, value)
    assert time.process_time() - began < 3.0
    if told is None:
        assert found == {}
    else:
        assert told[1] in found[told[0]]


def _faults(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, str]:
    try:
        check_shape(schema, value)
    except InvalidInput as refused:
        return dict(refused.errors)
    return {}


@pytest.mark.parametrize(
    ("schema", "value", "place"),
    [
        (CLOSED, {"xa": 1, "b": 2}, "/input/b"),
        ({"required": ["it's", "b"]}, {"b": 1}, "/input/it's"),
        ({"properties": {"r": {"format": "regex"}}}, {"r": "(" * 20_000}, "/input/r"),
        ({"properties": {"r": {"format": "regex"}}}, {"r": "a{9999999999999}"}, "/input/r"),
        ({"properties": {"n": {"multipleOf": 0.01}}}, {"n": 19.995}, "/input/n"),
        ({"maxProperties": 1}, {"a": 1, "b": 2}, "/input"),
        ({"properties": {"l": {"uniqueItems": True}}}, {"l": [{"n": 1}, {"n": 1.0}]}, "/input/l"),
    ],
)
def test_a_fault_is_named_where_it_stands(schema: Any, value: Any, place: str) -> None:
    assert [*_faults(schema, value)] == [place]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"n": {"multipleOf": 0.01}}}, {"n": 19.99}),
        ({"properties": {"n": {"multipleOf": 1e-300}}}, {"n": 1e300}),
        ({"properties": {"l": {"uniqueItems": True}}}, {"l": [1, True, "1", [1], {"a": 1}]}),
        ({"properties": {"r": {"format": "regex"}}}, {"r": "^[a-z]+$"}),
        ({"additionalProperties": {"type": "integer"}}, {"a": 1}),
    ],
)
def test_what_is_right_is_taken(schema: Any, value: Any) -> None:
    assert _faults(schema, value) == {}


def test_a_definition_of_before_keeps_its_look_around() -> None:
    schema = {"properties": {"a": {"pattern": r"^\w+(?!\n)$"}}}
    assert _faults(schema, {"a": "word"}) == {}
    assert [*_faults(schema, {"a": "-"})] == ["/input/a"]
