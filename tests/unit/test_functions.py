"""The functions of expressions: exact decimals, instants in UTC, texts of a bounded length."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.language.expression_rules import expression_faults
from chains.language.expressions import ExpressionInvalid, render
from chains.language.functions import OURS
from chains.language.functions.dates import written
from tests.unit.documents import CHECKOUT

GUIDE = CHECKOUT / "ops" / "guide" / "definitions.md"


def value(expression: str, **given: Any) -> Any:
    return render({"$": expression}, {"input": given})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("add(`0.1`, `0.2`)", 0.3),
        ("add(`9007199254740993`, `1`)", 9007199254740994),
        ("subtract(`10`, `9.99`)", 0.01),
        ("multiply(`19.99`, `3`)", 59.97),
        ("divide(`1`, `3`)", 0.333333333333333),
        ("round(divide(`200`, `3`), `2`)", 66.67),
        ("round(`2.5`, `0`)", 3),
        ("round(`-2.5`, `0`)", -3),
        ("fixed(`19.9`, `2`)", "19.90"),
        ("fixed(`-0.001`, `2`)", "0.00"),
        ("modulo(`-1`, `3`)", 2),
        ("sum(`[0.1, 0.2]`)", 0.3),
        ("sum(`[]`)", 0),
        ("avg(`[0.1, 0.2]`)", 0.15),
        ("avg(`[]`)", None),
        ("date_add('2027-01-31T23:30:00Z', '45m')", "2027-02-01T00:15:00Z"),
        ("date_add('2027-01-31', '1d')", "2027-02-01T00:00:00Z"),
        ("date_add('2027-03-28T01:00:00+01:00', `90`)", "2027-03-28T00:01:30Z"),
        ("date_subtract('2027-01-01T00:00:00.5Z', '1s')", "2026-12-31T23:59:59.500000Z"),
        ("date_diff('2027-01-02', '2027-01-01T00:00:00.5Z')", 86399.5),
        ("date_format('2027-01-02T10:05:00+02:00', '%d.%m.%Y, %H:%M %%')", "02.01.2027, 08:05 %"),
        ("date_format('2027-01-02', '%G-W%V-%u %j')", "2026-W53-6 002"),
        ("concat('a', `2`, ' ', `2.50`, `true`, `0.0000001`)", "a2 2.5true0.0000001"),
        ("join(', ', ['a', 'b'])", "a, b"),
        ("replace('a-b-c', '-', '')", "abc"),
        ("split('a,b,', ',')", ["a", "b", ""]),
        ("upper(lower('ÄB'))", "ÄB"),
        ("trim('  a b ')", "a b"),
        ("substring('abcdef', `2`, `3`)", "cde"),
        ('max_by(`[{"n": 1}, {"n": 3}]`, &subtract(`0`, n)).n', 1),
    ],
)
def test_a_function_gives_the_exact_value(expression: str, expected: object) -> None:
    found = value(expression)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("add('1', `1`)", r"function add\(\), invalid type for value: 1"),
        ("concat('a', input.none)", r'function concat\(\).*received: "null"'),
        ("divide(`1`, `0`)", "divide: the divisor is 0"),
        ("modulo(`1e300`, `0.7`)", "modulo: the numbers differ too much"),
        ("multiply(`4611686018427387904`, `2`)", "multiply: the result is too large"),
        ("add(`123456789012345.25`, `0.011`)", "count in minor units"),
        ("add(to_number('1e999'), `1`)", "add: inf is not a number"),
        ("concat('a', to_number('1e999'))", "concat: inf is not a number of JSON"),
        ("round(`1.5`, `-1`)", "round: the decimals must be a whole number from 0 to 15"),
        ("date_add('soon', '1d')", "date_add: 'soon' is not an instant such as"),
        ("date_add('2027-01-01T09:00:00', '1d')", "has no offset from UTC; end it with Z"),
        ("date_add('2027-01-01', '1 day')", "'1 day': a duration looks like 90s, 10m, 2h or 30d"),
        ("date_add('9999-01-01', '366d')", "not in the years 1 to 9999"),
        ("date_format('2027-01-01', '%B')", "%B is not one of %Y, %m"),
        ("replace('a', '', 'b')", "replace: the text to replace is empty"),
        ("split('a', '')", "split: the separator is empty"),
        ("substring('abc', `-1`, `1`)", "substring: start and length must be whole numbers"),
    ],
)
def test_a_function_that_fails_says_what_is_wrong(expression: str, words: str) -> None:
    with pytest.raises(ExpressionInvalid, match=words):
        value(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "replace(input.long, 'x', input.long)",
        "join(input.long, split(input.long, 'x'))",
        "input.long" + " | concat(@, @)" * 40,
        "split(input.long, 'x')" + " | [@, @][]" * 5,
    ],
)
def test_a_text_that_would_be_too_long_is_not_built(expression: str) -> None:
    began = time.process_time()
    with pytest.raises(ExpressionInvalid, match=r"too large to be stored|too much work"):
        value(expression, long="x" * 500_000)
    assert time.process_time() - began < 2.0


MONEY = st.decimals(-(10**9), 10**9, places=2)


@given(MONEY, MONEY)
@settings(max_examples=50)
def test_sums_of_money_are_exact(first: Decimal, second: Decimal) -> None:
    def cents(found: Any) -> int:
        return int(Decimal(str(found)) * 100)

    amounts = {"a": float(first), "b": float(second)}
    assert cents(value("add(input.a, input.b)", **amounts)) == cents(first) + cents(second)
    assert cents(value("subtract(input.a, input.b)", **amounts)) == cents(first) - cents(second)
    assert value("fixed(input.a, `2`)", **amounts) == f"{first + 0:.2f}"


FIRST = datetime(1900, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=365_000)).map(lambda age: FIRST + age)


@given(INSTANTS, st.integers(0, 10**9))
@settings(max_examples=50)
def test_a_date_moved_forth_and_back_is_the_same(at: datetime, seconds: int) -> None:
    moved = value("date_add(input.at, input.by)", at=written(at), by=seconds)
    assert datetime.fromisoformat(moved) == at + timedelta(seconds=seconds)
    assert value("date_subtract(input.at, input.by)", at=moved, by=seconds) == written(at)
    assert value("date_diff(input.a, input.b)", a=moved, b=written(at)) == seconds


def test_an_unknown_function_and_a_wrong_count_are_faults_of_the_definition() -> None:
    (near,) = expression_faults("date_ad(input.at, '1d')", {})
    assert "did you mean 'date_add'" in near
    (far,) = expression_faults("xyzzy(input.at)", {})
    assert "there are: abs, add, avg" in far
    (count,) = expression_faults("date_add(input.at)", {})
    assert count == "date_add takes 2 arguments, not 1"


def test_the_guide_names_every_function() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert [name for name in OURS if f"`{name}(" not in text] == []
