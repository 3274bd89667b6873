"""What is undone: whatever may have had an effect, and nothing that is proven to have had none."""

from typing import Any

import pytest

from app import claims, db, intents
from app.claims import Finish
from chains import compensate
from tests import invariants
from tests.integration.conftest import NOTHING, Kernel
from tests.unit.definitions import noop

pytestmark = pytest.mark.usefixtures("agreeing")

OTHER = {"compensation": {"action": "control.noop"}}
PAYER = {
    "customer_email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "amount": 1900,
    "currency": "eur",
}
PAY: dict[str, Any] = {"step": "pay", "action": "stripe.authorize", "with": PAYER}
FATES = [
    (["refused"], False),
    (["never"], False),
    (["never", "refused"], False),
    (["refused", "accepted"], True),
    (["refused", None], True),
]


def is_undone(kernel: Kernel, more: dict[str, Any], fates: list[str | None], ends: str) -> bool:
    """Whether the step is undone once its calls came to `fates` and it failed or succeeded."""
    workflow = kernel.start(kernel.register({"sequence": [{**PAY, **more}, noop("after")]}))
    claim = kernel.claim(workflow, "pay")
    for ordinal, fate in enumerate(fates):
        assert intents.record_intent(claim, ordinal, f"call{ordinal}", {}, f"k{ordinal}")
        if fate is not None:
            assert intents.resolve_intent(claim, ordinal, fate, {"id": "x"})
    if ends == "failed":
        claims.fail_step(claim, NOTHING, {"code": "declined", "message": "declined"})
    else:
        claims.finish_step(claim, NOTHING, Finish({}))
        kernel.cancel(workflow)
    compensate.settle(workflow)
    is_over = kernel.workflow(workflow)["completed_at"] is not None
    undo = claims.claim_step(workflow, "pay~undo", 30.0)
    assert is_over == (undo is None)
    if isinstance(undo, claims.Claim):
        claims.finish_step(undo, NOTHING, Finish({}))
        compensate.settle(workflow)
    assert invariants.broken(_rows, [workflow]) == []
    return undo is not None


def _rows(sql: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    return db.rows(sql, parameters)


@invariants.holds(5, 6)
@pytest.mark.parametrize("more", [{}, OTHER], ids=["its own compensation", "another action's"])
@pytest.mark.parametrize("ends", ["failed", "succeeded"])
@pytest.mark.parametrize(("fates", "expected"), FATES)
def test_only_calls_that_may_have_had_an_effect_are_undone(
    kernel: Kernel, more: dict[str, Any], ends: str, fates: list[str | None], expected: bool
) -> None:
    assert is_undone(kernel, more, fates, ends) is expected


@pytest.mark.parametrize(("ends", "expected"), [("failed", False), ("succeeded", True)])
def test_without_calls_the_success_is_undone_by_another_action(
    kernel: Kernel, ends: str, expected: bool
) -> None:
    assert is_undone(kernel, OTHER, [], ends) is expected
