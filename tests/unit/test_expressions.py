"""What an expression answers is bounded, whatever it asks for."""

import time
from typing import Any

import jmespath
import pytest

from chains.language.expressions import ExpressionInvalid, holds, render

SCOPE: dict[str, Any] = {"input": {"list": [1], "text": "ab", "quotes": '"' * 1000}}


@pytest.mark.parametrize(
    "expression",
    [
        "[input, input]" + " | [@, @]" * 40,
        "input.list" + " | [@, @][]" * 40,
        "input" + " | {a: @, b: @}" * 40,
        "input.text" + " | join('', [@, @])" * 40,
        "input.quotes" + " | to_string([@])" * 40,
        "[input, input]" + " | [@, @]" * 38 + " | to_string(@)",
        "[input, input]" + " | [@, @]" * 38 + " | @ == [@, @]",
    ],
    ids=lambda expression: str(expression)[:40],
)
def test_what_an_expression_doubles_again_and_again_is_refused_in_bounded_time(
    expression: str,
) -> None:
    began = time.process_time()
    with pytest.raises(ExpressionInvalid, match="too large to be stored"):
        render({"x": {"$": expression}}, SCOPE)
    with pytest.raises(ExpressionInvalid, match="too large to be stored"):
        holds(expression, SCOPE)
    assert time.process_time() - began < 6.0


def test_all_references_of_a_template_share_one_bound() -> None:
    scope = {"input": {"text": "x" * 1_000_000}}
    assert render([{"$": "input"}] * 10, scope) == [scope["input"]] * 10
    with pytest.raises(ExpressionInvalid, match="too large to be stored"):
        render([{"$": "input"}] * 100, scope)


def test_what_is_nested_too_deep_to_be_written_is_refused() -> None:
    deep: Any = 1
    for _ in range(99):
        deep = [deep]
    assert render({"$": "input"}, {"input": deep}) == deep
    with pytest.raises(ExpressionInvalid, match="deeper than 100"):
        render({"$": "input"}, {"input": [[deep]]})


def test_an_error_of_pythons_own_is_told_as_the_expressions() -> None:
    with pytest.raises(ExpressionInvalid, match="infinity"):
        render({"$": "ceil(to_number('1e999'))"}, {})
    with pytest.raises(ExpressionInvalid, match="not supported between"):
        holds("input.text > `5`", SCOPE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("input.rows[]", [1, 2, 3]),
        ("input.rows[*]", [[1, 2], [3], []]),
        ("input.rows[][]", [1, 2, 3]),
        ("input.holes[]", [0, False, ""]),
        ("input.holes[:2]", [0]),
        ("input.text[]", None),
        ("input.rows[].none", []),
    ],
)
def test_a_projection_leaves_out_null_and_nothing_else(expression: str, expected: object) -> None:
    scope = {"input": {"rows": [[1, 2], [3], []], "holes": [0, None, False, ""], "text": "x"}}
    assert render({"$": expression}, scope) == expected
    assert expected == jmespath.search(expression, scope)
