"""Reminders of approvals: which a definition may have, and what a rehearsal says of them."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from chains.rehearsal import rehearse
from chains.running.shape_actions import ApprovalInput
from tests.unit.definitions import noop
from tests.unit.test_validation import faults

YES = {"approved": True}


def asking(**rest: Any) -> dict[str, Any]:
    return {"name": "asking", "do": {"sequence": [{"approval": "review", **rest}, noop("b")]}}


@pytest.mark.parametrize(
    ("rest", "place", "words"),
    [
        ({"remind": []}, "", "needs 1 item at least"),
        ({"remind": [f"{hours}h" for hours in range(1, 12)]}, "", "10"),
        ({"remind": "1h"}, "", "must be durations in a list"),
        ({"remind": ["soon"]}, "/0", "duration"),
        ({"remind": [{"$": "input.x"}]}, "/0", "must be durations in a list"),
        ({"remind": ["2h", "1h"]}, "/1", "not longer than the duration before it"),
        ({"remind": ["1h", "60m"]}, "/1", "not longer than the duration before it"),
        ({"remind": ["1d"], "timeout": "1d"}, "/0", "not shorter than the `timeout`"),
        ({"remind": ["1d", "30d"]}, "/1", "not shorter than the `timeout`"),
        ({"remind": ["1d", "29d"]}, "", ""),
    ],
)
def test_reminders_that_cannot_be_are_refused_with_their_place(
    rest: dict[str, Any], place: str, words: str
) -> None:
    found = faults(asking(**rest))
    assert words in found.get(f"/do/sequence/0/remind{place}", ""), found
    assert bool(found) is bool(words)


def test_a_rehearsal_reminds_until_the_decision() -> None:
    body = asking(timeout="7d", remind=["1h", "1d", "3d"])
    run = rehearse(body, signals=[("review", YES, "2d")])
    assert run.reminded == [("review", timedelta(hours=1)), ("review", timedelta(days=1))]
    assert (run.status, run.elapsed) == ("succeeded", timedelta(days=2))


def test_a_rehearsal_reminds_once_of_an_approval_that_needs_two() -> None:
    people = ["ada@example.com", "eve@example.com"]
    body = asking(by=people, needed=2, timeout="7d", remind=["1h", "1d"])
    signals = [
        ("review", {**YES, "by": by}, at) for by, at in zip(people, ("2h", "2d"), strict=True)
    ]
    run = rehearse(body, signals=signals, users=people)
    assert run.reminded == [("review", timedelta(hours=1)), ("review", timedelta(days=1))]


def test_reminders_after_a_time_out_from_data_are_left_out() -> None:
    body = asking(timeout={"$": "input.long"}, remind=["1h", "1d"], on_timeout="go_on")
    run = rehearse(body, input={"long": "5h"})
    assert run.reminded == [("review", timedelta(hours=1))]
    assert len(run.steps["review"].input["remind"]) == 1


def test_an_approval_without_reminders_has_none_in_its_input() -> None:
    run = rehearse(asking(on_timeout="go_on"))
    assert "remind" not in run.steps["review"].input
    assert run.reminded == []


@pytest.mark.parametrize(
    "remind",
    [
        ["soon"],
        ["2030-01-01T09:00:00"],
        ["2030-01-02T09:00:00+00:00", "2030-01-01T09:00:00+00:00"],
        [f"2030-01-{day:02}T09:00:00+00:00" for day in range(1, 12)],
    ],
)
def test_an_input_that_was_given_by_hand_has_reminders_in_order(remind: list[str]) -> None:
    given = {"signal": "s", "by": None, "until": "", "on_timeout": "fail", "on_reject": "fail"}
    sound = {**given, "remind": ["2030-01-01T09:00:00+00:00", "2030-01-02T09:00:00+00:00"]}
    assert ApprovalInput.model_validate(sound).remind == sound["remind"]
    with pytest.raises(ValidationError, match="remind"):
        ApprovalInput.model_validate({**given, "remind": remind})
