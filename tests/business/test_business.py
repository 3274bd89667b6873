"""What a business is made of, and a run of full size; a small one is in tests/contract/stripe."""

import pytest

from tests.business.plan import Act, Fate, make_plan
from tests.business.run import run
from tests.business.stack import opened, place_of


@pytest.mark.parametrize(("customers", "days"), [(10, 4), (500, 30)])
def test_a_seed_gives_the_same_business_in_which_each_fate_occurs(
    customers: int, days: int
) -> None:
    plan = make_plan(7, customers, days)
    assert plan == make_plan(7, customers, days) != make_plan(8, customers, days)
    assert {each.fate for each in plan.customers} == set(Fate)
    assert {each.currency for each in plan.customers} == {"usd", "eur", "gbp", "jpy"}
    joined: set[int] = set()
    for acts in plan.acts:
        for number, act in acts:
            assert (act is Act.JOIN) != (number in joined)
            joined.add(number)
    assert len(joined) == customers


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thirty_days_of_five_hundred_customers_leave_nothing_unexplained(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with opened(tmp_path_factory.mktemp("business") / "data") as stack:
        report = run(place_of(stack), make_plan(1, 500, 30))
    assert report.is_good, report
    assert report.movements > 1500
