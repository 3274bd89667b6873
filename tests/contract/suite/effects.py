"""A step that runs again makes its effect once, and once more if a person has retried it.

The vendor's books are counted.
"""

from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors


def test_a_replay_repeats_nothing(effect: Effect, step: Claim, vendors: Vendors) -> None:
    prepared = effect.prepare(step)
    assert effect.begin(prepared) == effect.begin(prepared)
    expected = 0 if effect.is_computed else 1
    assert vendors.count(effect.books) == expected


def test_a_retry_past_an_accepted_call_makes_an_effect_of_its_own(
    effect: Effect, step: Claim, vendors: Vendors
) -> None:
    vendors.change(**effect.held)
    prepared = effect.prepare(step)
    effect.begin(prepared)
    again = prepared.retried()
    assert again.claim.generation == prepared.claim.generation + 1
    assert effect.begin(again) == effect.begin(again)
    assert vendors.count(effect.books) == effect.made_by_two
