"""Inputs against their schemas: no input makes its check long, each fault stands at its place."""

import time
from typing import Any

import pytest

from app.errors import InvalidInput
from chains.language.patterns.time_limits import TakesTooLong, pattern_size, time_limit
from chains.language.schema import check_shape, validator

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
        ({"properties": {"r": {"format": "regex"}}}, {"r": r"\pL{400}"}, "/input/r"),
        ({"properties": {"r": {"format": "regex"}}}, {"r": "a{1001}"}, "/input/r"),
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


@pytest.mark.parametrize(
    ("pattern", "units", "positions"),
    [
        (r"^[a-z0-9-]{1,63}$", 1000, 65),
        (r"\pL{400}", 240_000, 400),
        (r"(?i:\w{20})|[\p{Greek}&&\W]{10}", 40_000, 30),
        ("((((a{10}){10}){10}){10}){10}", 100_000, 100_000),
        (r"(?P<name>a|b){5,}\x{10}", 13, 13),
        ("[]a]{3}[^]b[:alpha:]]{2}[[a][b]]{4}", 60, 9),
        ("a" * 50 + "{00000000000000000000000000100}", 149, 149),
        ("(?:){1000000}", 1_000_000, 1_000_000),
        (r"(((\d", 50, 1),
    ],
)
def test_the_size_of_a_pattern_is_known_before_it_is_compiled(
    pattern: str, units: int, positions: int
) -> None:
    size = pattern_size(pattern)
    assert units <= size.units <= 4 * units
    assert positions <= size.positions <= 2 * positions + 5


def test_a_text_that_is_too_long_for_its_pattern_is_not_matched() -> None:
    schema = {"properties": {"a": {"pattern": r"\w{90}x$"}}}
    assert [*_faults(schema, {"a": "a" * 1000})] == ["/input/a"]
    assert _faults(schema, {"a": "a" * 90 + "x"}) == {}
    assert "at most 10869 characters" in _faults(schema, {"a": "a" * 300_000})["/input"]
    doubted = {"not": schema}
    assert "at most 10869 characters" in _faults(doubted, {"a": "a" * 300_000})["/input"]


def test_many_names_beside_many_patterns_are_given_up() -> None:
    schema: Any = {"patternProperties": {f"x{n}$": {} for n in range(500)}}
    with time_limit(0.05), pytest.raises(TakesTooLong):
        [*validator(schema).iter_errors({f"a{n}": n for n in range(50_000)})]
