"""Which model is asked, in which order, and after which refusals another one is."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from tasks.routing.inputs import ModelRoute, above_cap, ordered
from tasks.routing.refusals import passed_over
from tasks.routing.route import Passed, Route, begun, nothing_left, recorded

THREE = ("a", "b", "c")
POOR = Passed("a", "quality", "quality: it is short", ("min_words",))


def full(model: str) -> Passed:
    return Passed(model, "overloaded", "overloaded")


def gone(model: str) -> Passed:
    return Passed(model, "ended", "ended on 2026-10-23: choose z")


@pytest.mark.parametrize(
    ("policy", "expected"), [("chain", "abc"), ("cheapest", "bca"), ("fastest", "bac")]
)
def test_a_policy_orders_the_models(policy: Any, expected: str) -> None:
    route = ModelRoute(models=[*THREE], policy=policy)
    prices, paces = {"a": 9, "b": 1, "c": 5}, {"a": 2.0, "c": 3.0}
    assert "".join(ordered(route, prices.__getitem__, paces)) == expected


def test_a_cap_leaves_out_what_may_cost_more() -> None:
    assert above_cap("a", 500, 500) is None
    assert above_cap("a", 500, None) is None
    over = above_cap("a", 501, 500)
    assert over is not None
    assert "501 micro-USD, and 500 are allowed" in over.why
    assert over.is_final


@pytest.mark.parametrize("models", [[], ["a", "a"], ["a b"], [*"abcdefghijk"]])
def test_wrong_models_are_refused(models: list[str]) -> None:
    with pytest.raises(ValidationError):
        ModelRoute(models=models)


def test_a_model_without_room_is_asked_again_after_the_others_and_a_poor_one_is_not() -> None:
    route: Route | None = begun(THREE, ())
    asked: set[str] = set()
    seen = []
    for passed in (full("a"), Passed("b", "quality", "short"), full("c")):
        assert route is not None
        seen.append(route.model)
        asked.add(route.model)
        last, route = route, route.past(passed, asked)
    assert seen == [*THREE]
    assert route is None
    # A later attempt begins with the last decision, and comes round to the first model.
    again = last.past(full("c"), {"c"})
    assert again is not None
    assert again.model == "a"
    assert [each.model for each in again.passed] == ["a", "b", "c"]


def test_a_route_is_read_from_its_record_as_it_was() -> None:
    route = Route(THREE, "b", (POOR, full("c")), times=2)
    assert recorded(route.record()) == route
    assert route.shown()[-1] == {"model": "b", "why": None}


def test_models_that_are_passed_over_at_once_are_not_begun_with() -> None:
    assert begun(THREE, [gone("a")]).model == "b"
    with pytest.raises(Permanent, match="choose z") as ended:
        begun(("a",), [gone("a")])
    assert ended.value.code == "model_ended"


@pytest.mark.parametrize(
    ("passed", "code"),
    [
        ([gone("a"), gone("b")], "model_ended"),
        ([gone("a"), Passed("b", "over_cap", "dear")], "no_model_left"),
        ([gone("b"), POOR, full("c")], "quality"),
    ],
)
def test_the_last_error_says_why_each_model_was_left(passed: list[Passed], code: str) -> None:
    error = nothing_left(passed)
    assert error.code == code
    assert error.detail["route"] == [{"model": p.model, "why": p.why} for p in passed]


MOVES: list[tuple[Outcome, str | None]] = [
    (Retryable("x", code="server_is_overloaded"), "overloaded"),
    (NotServed("x", code="circuit_open", after=1), "circuit_open"),
    (NotServed("x", code="rate_limited", after=1), "rate_limited"),
    (NotServed("x", code="rate_limited", after=99, is_turn=True), "rate_limited"),
    (Permanent("x", code="model_not_found"), "missing"),
    (Permanent("x", code="context_length_exceeded"), "unsuited"),
    (NotServed("x", code="rate_limited", after=9, is_turn=True), None),
    (NotServed("x", code="account_exhausted"), None),
    (NotServed("x", code="credential_refused"), None),
    (Retryable("x", code="platform_error"), None),
    (Retryable("x", code="not_reached"), None),
    (Unknown("x", code="server_is_overloaded"), None),
    (Permanent("x", code="invalid_prompt"), None),
]


@pytest.mark.parametrize(("err", "code"), MOVES, ids=lambda each: str(getattr(each, "code", each)))
def test_only_a_definite_refusal_of_this_model_lets_another_be_asked(
    err: Outcome, code: str | None
) -> None:
    passed = passed_over(err, "a", wait_seconds=10.0)
    assert (None if passed is None else passed.code) == code
