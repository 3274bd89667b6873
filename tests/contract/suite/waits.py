"""A step that waits reads the answer to its own call."""

import json

import pytest
from uuid_utils.compat import uuid7

from app import db
from app.errors import Suspend
from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors

_STORE = (
    "INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)"
    " VALUES (%s, %s, %s, 'failed', %s)"
)


def test_a_retried_step_reads_no_answer_to_an_earlier_call(
    waiting: Effect, step: Claim, vendors: Vendors
) -> None:
    vendors.change(**waiting.held)
    prepared = waiting.prepare(step)
    first = waiting.begin(prepared)
    again = prepared.retried()
    own = waiting.begin(again)
    # The answer to the first call comes late.
    late = json.dumps({"reference": first, "status": "error"})
    db.row(_STORE, (again.action.platform, str(uuid7()), first, late))
    assert own != first
    with pytest.raises(Suspend) as caught:
        again.run(own)
    assert caught.value.external_id == own
    assert vendors.count(waiting.books) == waiting.made_by_two
