"""No step costs more than its action has declared, whatever its input is and the vendor does."""

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
    try:
        prepared.run()
    except Suspend as waiting:
        wait(prepared, waiting.external_id)
    except Permanent:
        pass  # what it has cost is paid all the same
    assert 0 < prepared.cost <= prepared.ceiling
