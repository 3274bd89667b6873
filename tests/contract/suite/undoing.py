"""A compensation that runs twice undoes the effect once."""

from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors


def test_a_compensation_twice_undoes_once(undoable: Effect, step: Claim, vendors: Vendors) -> None:
    vendors.change(**undoable.held)
    prepared = undoable.prepare(step)
    external_id = undoable.begin(prepared) if undoable.suspends else None
    if external_id is None:
        undoable.begin(prepared)
    results = [prepared.undo(external_id=external_id)["result"] for _ in range(2)]
    assert results == list(undoable.results)
    assert undoable.undoings(vendors) == 1


def test_undoing_what_never_began_does_nothing(
    undoable: Effect, step: Claim, vendors: Vendors
) -> None:
    prepared = undoable.prepare(step)
    prepared.undo()
    expected = 1 if undoable.is_computed else 0
    assert undoable.undoings(vendors, made=0) == expected


def test_what_each_generation_has_made_is_undone(
    undoable: Effect, step: Claim, vendors: Vendors
) -> None:
    vendors.change(**undoable.held)
    prepared = undoable.prepare(step)
    first = undoable.begin(prepared)
    again = prepared.retried()
    own = undoable.begin(again)
    if again.action.is_traced:
        # The reconciler finds that the first effect is an orphan.
        taken = again.take_back(first, status="waiting")
        assert taken["result"] == undoable.results[int(undoable.replaces)]
    again.undo(external_id=own if undoable.suspends else None)
    made = undoable.made_by_two
    assert undoable.undoings(vendors, made) == max(made, 1)
