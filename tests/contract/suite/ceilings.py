"""No step costs more than its action has declared, whatever its input is and the vendor does."""

from contextlib import suppress

from app.errors import Permanent, Suspend
from tests.contract.cases import Claim, Effect
from tests.contract.pictures import wait
from tests.contract.vendors import Vendors


def test_the_dearest_step_costs_no_more_than_its_ceiling(
    priced: Effect, step: Claim, vendors: Vendors
) -> None:
    assert priced.dearest is not None
    prepared = priced.dearest(step)
    vendors.change(**priced.dear)
    # What has failed and has cost something is paid all the same.
    with suppress(Permanent):
        try:
            prepared.run()
        except Suspend as waiting:
            if priced.carried is not None:
                priced.carried(vendors)
            wait(prepared, waiting.external_id)
    assert 0 < prepared.cost <= prepared.ceiling
