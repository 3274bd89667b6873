"""What campaigns in several currencies are made of, and a run of full size."""

from collections import Counter

import pytest

from app.money.currencies import fault_of
from tests.campaigns.mix import AMOUNTS, FATES, make_campaigns
from tests.campaigns.run import run
from tests.chaos.mix import Pictures
from tests.chaos.plan import FROM_VENDORS

PICTURES = Pictures("source", tuple("abcdef"), "faceless")


def test_five_percent_of_the_campaigns_have_each_fault_and_each_fate() -> None:
    made = make_campaigns(1, 200, 60.0, PICTURES)
    assert made == make_campaigns(1, 200, 60.0, PICTURES)
    assert Counter(item.input["price"]["currency"] for item in made) == dict.fromkeys(AMOUNTS, 200)
    kinds = Counter(item.fault["kind"] for item in made if item.fault)
    # The fate `unnotified` is a fault of n8n.
    assert kinds == Counter(dict.fromkeys(FROM_VENDORS, 50)) + Counter({"fail": 50})
    declined = [item for item in made if "Declined" in item.input["payment_method"]]
    assert len(declined) == 50
    assert len(FATES) == 3


@pytest.mark.parametrize("currency", AMOUNTS)
def test_the_prices_may_be_charged(currency: str) -> None:
    assert fault_of(AMOUNTS[currency], currency) is None


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_campaigns_balance_to_the_cent(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    report = run(tmp_path_factory.mktemp("campaigns") / "data", 1, 200, 360.0)
    assert report.is_good, report
    assert report.ends["succeeded"] > 500
