"""A step that waits reads the answer to its own call."""

import json

import pytest
from uuid_utils.compat import uuid7

from app import db
from app.errors import Retryable, Suspend
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
    assert waiting.made(vendors) == waiting.made_by_two


@pytest.mark.parametrize("status", [404, 503])
def test_one_poll_that_is_refused_or_not_answered_fails_no_step(
    waiting: Effect, step: Claim, vendors: Vendors, status: int
) -> None:
    vendors.change(**waiting.held)
    prepared = waiting.prepare(step)
    known = waiting.begin(prepared)
    vendors.fault(prepared.action.platform, waiting.reads, "status", status=status)
    with pytest.raises((Retryable, Suspend)):
        prepared.run(known)
    with pytest.raises(Suspend):
        prepared.run(known)
