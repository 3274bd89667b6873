"""What only OpenAI does: briefs that are refused, and the cost of a caption."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from app import db
from app.errors import Permanent, Retryable, Unknown
from app.platform import Json
from app.settings import Settings
from tasks.openai.actions import CaptionInput, caption_ceiling, lost_cost
from tasks.openai.costs import cost
from tests.contract.cases import Claim
from tests.contract.openai.cases import caption, embed, respond
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

OVERLOADED: dict[str, Any] = {"status": 503, "code": "server_is_overloaded"}


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


def answered(model: str, read: int = 0, written: int = 0, **more: Any) -> Json:
    return {"model": model, "input_tokens": read, "output_tokens": written, **more}


def test_each_kind_of_token_has_its_price(settings: Settings) -> None:
    assert cost(answered("gpt-6-sol", 1)).micro_usd == 2
    assert cost(answered("gpt-6-sol-2026-09-01", 1_000, 100)).micro_usd == 3_000
    part = cost(answered("gpt-6-sol", 1_000, 100, cached_tokens=400, cache_write_tokens=100))
    assert part.micro_usd == 500 * 2 + 400 * 0.2 + 100 * 2.5 + 100 * 10
    assert cost(answered("gpt-6-sol", 1_000, 100, tier="flex")).micro_usd == 1_500
    assert cost(answered("gpt-6-sol", 1_000, 100, tier="priority")).micro_usd == 6_000
    assert not part.estimated


def test_what_has_no_price_is_counted_at_the_dearest(settings: Settings) -> None:
    unknown = cost(answered("something-new", 10, 10))
    assert unknown.micro_usd == cost(answered("gpt-6-astra", 10, 10)).micro_usd == 600
    assert unknown.estimated == (
        ("something-new", "input_tokens"),
        ("something-new", "output_tokens"),
    )
    tier = cost(answered("gpt-6-sol", 1_000, tier="platinum"))
    assert (tier.micro_usd, tier.estimated) == (12_000, (("platinum", "tier"),))


def test_a_projects_own_tier_does_not_decide_what_a_caption_costs(
    step: Claim, vendors: Vendors
) -> None:
    plain = caption(step)
    plain.run()
    vendors.change(openai__service_tier="ultrafast")
    asked = caption(step)
    asked.run()
    assert asked.cost == plain.cost > 0


@pytest.mark.parametrize(("tier", "times"), [("priority", 2), ("fast", 2), ("flex", 1)])
def test_a_tier_is_asked_for_and_reserved(
    configure: Callable[..., Settings], step: Claim, tier: str, times: int
) -> None:
    given = CaptionInput(brief="Heroes")
    plain = caption(step)
    plain.run()
    ceiling, asked = caption_ceiling(given), caption(step)
    configure(OPENAI_SERVICE_TIER=tier, DATABASE_URL=os.environ["DATABASE_URL"])
    asked.run()
    assert caption_ceiling(given) == pytest.approx(times * ceiling, abs=3)
    assert asked.cost == pytest.approx(plain.cost * (0.5 if tier == "flex" else 2), abs=1)


def test_what_auto_costs_is_reserved_at_the_dearest_tier(
    configure: Callable[..., Settings], step: Claim, vendors: Vendors
) -> None:
    vendors.change(openai__service_tier="ultrafast", openai__reasoning_tokens=19_000)
    asked = caption(step)
    configure(OPENAI_SERVICE_TIER="auto", DATABASE_URL=os.environ["DATABASE_URL"])
    asked.run()
    assert caption_ceiling(CaptionInput(**asked.given)) >= asked.cost > 6 * 9_500
    lost = {"model": "gpt-6-luna", "system": "", "user": "", "max_tokens": 1_000_000}
    assert lost_cost(lost) >= lost_cost(lost | {"tier": "priority"}) * 3
    assert lost_cost(lost | {"tier": "priority"}) >= 1_000_000


def test_a_tier_that_is_not_known_costs_the_dearest_price_of_the_model(settings: Settings) -> None:
    tier = cost(answered("gpt-5.5", 1_000, tier="platinum"))
    assert (tier.micro_usd, tier.estimated) == (30_000, (("platinum", "tier"),))


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
    vendors.fault("openai", "chat.completions.create", "status", **OVERLOADED)
    with pytest.raises(Retryable) as caught:
        asked.run()
    assert caught.value.code == "server_is_overloaded"
    asked.call().write_off_lost()
    (row,) = db.rows("SELECT spent FROM workflows WHERE id = %s", (asked.claim.workflow_id,))
    assert row["spent"] == 0


@pytest.mark.parametrize("status", [502, 504])
@pytest.mark.parametrize("make", [caption, respond, embed])
def test_a_gateways_answer_says_nothing_of_a_call_that_is_billed(
    step: Claim, vendors: Vendors, make: Callable[[Claim], Step], status: int
) -> None:
    asked = make(step)
    vendors.fault("openai", "*", "status", status=status, after_effect=True)
    with pytest.raises(Unknown):
        asked.run()
    assert asked.open_intent().resolution is None
