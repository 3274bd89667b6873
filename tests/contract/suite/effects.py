"""A step that runs again makes its effect once. The vendor's books are counted."""

from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors


def test_a_replay_repeats_nothing(effect: Effect, step: Claim, vendors: Vendors) -> None:
    prepared = effect.prepare(step)
    assert effect.begin(prepared) == effect.begin(prepared)
    expected = 0 if effect.is_computed else 1
    assert vendors.count(effect.books) == expected
