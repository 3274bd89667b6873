"""Where a list shows an effect late, its absence proves nothing."""

import pytest

from app.errors import Unknown
from app.platform import CannotTell, Found
from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors


def test_a_lagging_list_is_no_proof(lagging: Effect, step: Claim, vendors: Vendors) -> None:
    prepared = lagging.prepare(step)
    assert lagging.lag is not None
    vendors.change(**{lagging.lag: 600.0})
    lagging.plan(vendors, "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    assert isinstance(prepared.look_up(), CannotTell)
    vendors.change(**{lagging.lag: 0.0})
    assert isinstance(prepared.look_up(), Found)
