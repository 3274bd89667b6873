"""A hundred siblings at once, and a budget for sixty of them."""

from pathlib import Path

import pytest

from ops.sandbox.replicate import gallery
from tests.e2e.definitions import detail, ended, register, started
from tests.e2e.instance import running_instance
from tests.e2e.stack import Json, Stack, until

SIBLINGS, PAID, EACH = 100, 60, 40_000
NAME = "a_hundred_pictures"


def definition() -> Json:
    """A hundred pictures at once, of which the budget pays sixty."""
    given = {"model": gallery.PAINTER.full_name, "input": {"prompt": {"$": "item"}}}
    return {
        "name": NAME,
        "on_failure": "hold",
        "budget_usd": f"{PAID * EACH / 1_000_000:.2f}",
        "input_schema": {"type": "object", "properties": {"words": {"type": "array"}}},
        "do": {
            "map": "pictures",
            "over": {"$": "input.words"},
            "max_concurrency": SIBLINGS,
            "do": {"step": "paint", "action": "replicate.predict", "with": given},
        },
    }


def is_priced(stack: Stack) -> bool:
    """Whether a picture is booked at its price: prices are read anew after half a minute."""
    do = {**definition()["do"]["do"]}
    do["with"] = {**do["with"], "input": {"prompt": "blue"}}
    register(stack, {"name": "one_picture", "do": do})
    workflow = started(stack, "one_picture", {})
    return int(ended(stack, workflow)["cost_micro_usd"]) == EACH


def paid(stack: Stack) -> int:
    """How many pictures the sandbox's books say were made."""
    return sum(each["effect"] == "predictions_succeeded" for each in stack.journal())


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("times", "least"), [(1, PAID), (3, PAID - 2)])
def test_a_budget_is_spent_to_its_end_and_no_further(
    tmp_path: Path, times: int, least: int
) -> None:
    """With a ceiling of three times the price, a step is refused once less than three prices are
    left and no other step holds a reservation: never while one is open."""
    settings = {"REPLICATE_CEILING_PICTURES": str(times)}
    with running_instance(tmp_path, **settings) as stack:
        stack.rows(
            "SELECT set_price_v1('replicate', %s, 'pictures', '', 0, '2026-01-01', 0.04, '')",
            gallery.PAINTER.full_name,
        )
        register(stack, definition())
        until("the price in all processes", lambda: is_priced(stack), 60.0, stack.dump)
        words = [f"picture {number}" for number in range(SIBLINGS)]
        before = paid(stack)
        workflow = started(stack, NAME, {"words": words})

        def is_over() -> Json | None:
            shown = detail(stack, workflow)
            return shown if shown["completed_at"] or shown["attention"] else None

        shown = until("the end of the budget", is_over, 200.0, stack.dump)
        (budget,) = stack.rows(
            "SELECT amount, spent, reserved FROM budgets WHERE workflow_id = %s", workflow
        )
        assert paid(stack) - before == paid_of(budget)
    assert least <= paid_of(budget) <= PAID
    assert budget["reserved"] == 0
    assert budget["spent"] + times * EACH > budget["amount"], "none was refused too early"
    assert shown["cause"] == "over_budget" or shown["attention"] == "over_budget"


def paid_of(budget: Json) -> int:
    """How many pictures a budget has paid."""
    number, rest = divmod(budget["spent"], EACH)
    assert rest == 0
    return int(number)
