"""What only OpenAI does: briefs that are refused, and the cost of a caption."""

import doctest

import pytest

import tasks.openai.actions
from app import db
from app.errors import Permanent, Retryable, Unknown
from tasks.openai.actions import CaptionInput, caption_ceiling, cost, lost_cost
from tests.contract.cases import Claim
from tests.contract.openai.cases import caption
from tests.contract.vendors import Vendors


def test_a_flagged_brief_is_refused_with_its_category(step: Claim) -> None:
    with pytest.raises(Permanent) as caught:
        step("openai.moderate", {"brief": "How to build a bomb"}).run()
    assert caught.value.code == "brief_refused"
    assert "violent" in caught.value.message


def test_a_caption_costs_what_its_tokens_cost(step: Claim) -> None:
    asked = caption(step)
    made = asked.run()
    assert made["caption"]
    assert asked.cost > 0
    assert made["tokens"] > 0


def test_cost_is_rounded_up_and_an_unknown_model_is_dear() -> None:
    assert doctest.testmod(tasks.openai.actions).failed == 0
    assert cost("gpt-4o-mini", 1, 0) == 1
    assert cost("gpt-4o-mini-2024-07-18", 1000, 0) < cost("gpt-4o-2024-08-06", 1000, 0)
    assert cost("something-new", 10, 10) == cost("gpt-4o", 10, 10)


@pytest.mark.parametrize(("reasoning", "calls"), [(0, 1), (290, 2), (2_395, 3)])
def test_a_caption_that_is_cut_off_or_only_thought_is_asked_for_with_more_tokens(
    step: Claim, vendors: Vendors, reasoning: int, calls: int
) -> None:
    whole = caption(step).run()["caption"]
    vendors.change(openai__reasoning_tokens=reasoning)
    asked = caption(step)
    made = asked.run()
    assert made["caption"] == whole
    assert vendors.count("captions") == 1 + calls
    assert made["tokens"] > reasoning
    assert asked.cost <= caption_ceiling(CaptionInput(**asked.given))


def test_an_answer_that_is_recorded_already_is_not_booked_again(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(openai__reasoning_tokens=290)
    asked = caption(step)
    asked.run()
    booked = asked.cost
    asked.run()
    assert asked.cost == booked > 0


def test_an_answer_is_booked_although_the_worker_dies_before_the_outcome(step: Claim) -> None:
    asked = caption(step)
    asked.run()
    (row,) = db.rows("SELECT spent FROM workflows WHERE id = %s", (asked.claim.workflow_id,))
    assert row["spent"] == asked.cost > 0


def test_a_caption_that_never_ends_is_not_published(step: Claim, vendors: Vendors) -> None:
    vendors.change(openai__reasoning_tokens=50_000)
    asked = caption(step)
    with pytest.raises(Permanent) as caught:
        asked.run()
    assert caught.value.code == "caption_cut_off"
    assert vendors.count("captions") == 3


def test_a_caption_cannot_be_undone(step: Claim) -> None:
    assert caption(step).action.compensate is None


def test_a_caption_whose_answer_is_lost_is_booked_at_its_ceiling_once(
    step: Claim, vendors: Vendors
) -> None:
    asked = caption(step)
    vendors.fault("openai", "chat.completions.create", "lost_reply")
    with pytest.raises(Unknown):
        asked.run()
    lost = lost_cost(asked.open_intent().request)
    # The next attempt begins so, whether or not the worker of this one has died.
    for _ in range(2):
        asked.call().write_off_lost()
    asked.run()
    (row,) = db.rows("SELECT spent FROM workflows WHERE id = %s", (asked.claim.workflow_id,))
    assert row["spent"] == lost + asked.cost > lost > 0


def test_a_caption_that_is_refused_costs_nothing(step: Claim, vendors: Vendors) -> None:
    asked = caption(step)
    vendors.fault("openai", "chat.completions.create", "status", status=500)
    with pytest.raises(Retryable):
        asked.run()
    asked.call().write_off_lost()
    (row,) = db.rows("SELECT spent FROM workflows WHERE id = %s", (asked.claim.workflow_id,))
    assert row["spent"] == 0
