"""What a workflow has put on sale is taken back."""

from tasks.stripe.catalogue.prices import PRICES
from tests.contract.cases import Claim
from tests.contract.stripe.steps import create_price
from tests.contract.vendors import Vendors


def test_an_archived_price_leaves_its_lookup_key_to_another(step: Claim, vendors: Vendors) -> None:
    given = create_price(step).given | {"lookup_key": "portrait"}
    first = step("stripe.create_price", given)
    price = first.run()["price"]
    assert [first.undo()["result"] for _ in range(2)] == ["archived", "already"]
    assert PRICES.retrieve(price)["lookup_key"] is None
    assert step("stripe.create_price", given).run()["lookup_key"] == "portrait"
