"""What the vendor cannot be asked about is lost with its answer: it is booked at its most, and made
again."""

import pytest

from app import db
from app.errors import Unknown
from app.platform import Lost
from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors


def test_what_is_lost_is_booked_at_its_most_and_made_again(
    written_off: Effect, step: Claim, vendors: Vendors
) -> None:
    prepared = written_off.prepare(step)
    written_off.plan(vendors, "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    lost = prepared.open_intent()
    assert isinstance(prepared.look_up(lost), Lost)
    prepared.call().write_off(lost)
    written_off.begin(prepared)
    assert vendors.count(written_off.books) == 2
    assert prepared.action.lost is not None
    row = db.row("SELECT spent FROM workflows WHERE id = %s", (prepared.claim.workflow_id,))
    assert row is not None
    most = prepared.action.lost(lost.request)
    assert row["spent"] == most + prepared.cost > most >= prepared.cost
