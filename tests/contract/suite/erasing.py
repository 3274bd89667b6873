"""What a step has only made and kept here is erased when it is undone."""

from app.files.artifacts import Artifacts
from tests.contract.cases import Claim, Effect
from tests.contract.stage import Step
from tests.contract.vendors import Vendors


def kept(step: Step) -> int:
    """How many files the step has kept, of all its generations."""
    claim = step.claim
    return len(Artifacts(claim.workflow_id, claim.key, claim.user_id).written())


def test_a_compensation_twice_erases_what_each_generation_has_kept(
    erased: Effect, step: Claim, vendors: Vendors
) -> None:
    prepared = erased.prepare(step)
    erased.begin(prepared)
    again = prepared.retried()
    erased.begin(again)
    assert kept(again) == 2
    assert [again.undo()["result"] for _ in range(2)] == ["erased", "nothing"]
    assert kept(again) == 0
    assert vendors.count(erased.books) == vendors.total() == 2


def test_erasing_what_was_never_kept_does_nothing(erased: Effect, step: Claim) -> None:
    assert erased.prepare(step).undo()["result"] == "nothing"
