"""What an expression answers is bounded, whatever it asks for."""

import time
from typing import Any

import jmespath
import pytest

from chains.language.evaluation import Meter
from chains.language.expression_rules import constant, constants_meter
from chains.language.expressions import ExpressionInvalid, holds, parse, render

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


_ITEMS = f"`{list(range(60))}`"
_NESTED = f"length({'map(&' * 5}@{f', {_ITEMS})' * 5}) > `0`"
_TEXTS = f"&(@ == `3` && '{'a' * 300}' || '{'b' * 300}')"


@pytest.mark.parametrize(
    "path", ["a.b", "a.b.c", "a.no.c", "list.b", "text.b", '"a"."b c"', "a.n.x"]
)
def test_a_path_of_names_is_what_the_library_finds(path: str) -> None:
    scope = {"a": {"b": {"c": 1}, "b c": [2], "n": None}, "list": [{"b": 1}], "text": "b"}
    meter, other = Meter(), Meter()
    assert render({"$": path}, scope, meter) == jmespath.search(path, scope)
    # The same in a form that is not walked, in one part more.
    assert render({"$": f"{path} | @"}, scope, other) == jmespath.search(path, scope)
    assert other.work_left == meter.work_left - 2


def test_five_nested_maps_are_refused() -> None:
    with pytest.raises(ExpressionInvalid, match="too much work"):
        holds(_NESTED, {})
    with pytest.raises(ExpressionInvalid, match="too much work"):
        render({"x": [{"$": _NESTED}]}, {})


@pytest.mark.parametrize(
    "expression",
    [
        f"map(&{_ITEMS}, input.many)",
        f"to_string(map(&{_ITEMS}, input.many))",
        "input.many[?!!!!!!!!!!!!!!(@ == `-1`)]",
        "input.texts[?@ == @]",
        f"sort_by(input.many, {_TEXTS})",
        "map(&reverse(@), map(&values(@), input.wide)) | [@, @, @][][]",
        "input.wide[?contains(values(@), `[1]`) || @ == `{}` || keys(@)]",
    ],
    ids=lambda expression: str(expression)[:40],
)
def test_an_expression_that_works_more_than_its_bound_is_refused(expression: str) -> None:
    wide = {str(n): n for n in range(4000)}
    texts = ["x" * 50_000] * 100
    meter = Meter(left=100_000, work=20_000)
    with pytest.raises(ExpressionInvalid, match=r"too much work|too large to be stored"):
        holds(
            expression,
            {"input": {"many": [*range(4000)], "wide": [wide] * 5, "texts": texts}},
            meter,
        )
    assert meter.work_left > -20_000


def test_a_condition_over_the_largest_map_is_within_the_bound() -> None:
    rows = [{"status": "done", "name": f"name {n}"} for n in range(5000)]
    scope = {"input": {"rows": rows, "other": [*rows]}}
    assert holds("length(input.rows[?status == 'done' && !error]) == `5000`", scope)
    assert holds("sort_by(input.rows, &name)[0].name == 'name 0'", scope)
    assert holds("input.rows == input.other && contains(input.rows[].name, 'name 4999')", scope)


def test_all_conditions_of_a_choice_share_one_bound() -> None:
    scope, meter = {"input": {"list": [*range(400)]}}, Meter(work=3000)
    condition = "length(input.list[?@ == `-1`]) > `0`"
    assert not holds(condition, scope, meter)
    with pytest.raises(ExpressionInvalid, match="too much work"):
        holds(condition, scope, meter)


def test_a_constant_that_doubles_at_each_level_of_nesting_is_not_evaluated_to_its_end() -> None:
    doubled = "'" + '"' * 100 + "'"
    for _ in range(15):
        doubled = f"to_string(`1` | [{doubled}])"
    meter = constants_meter()
    assert constant(doubled, meter) is None
    assert constant("`1`", meter) is None, "all constants of a definition share one meter"
    assert constant("`[1]`", constants_meter()) == ([1],)


def test_an_expression_has_a_longest_length() -> None:
    with pytest.raises(ExpressionInvalid, match="at most 50000 characters, not 60001"):
        parse("a" + "||a" * 20_000)
