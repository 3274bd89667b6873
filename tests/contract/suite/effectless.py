"""An action without an effect at the vendor answers alike each time, and changes nothing."""

from app import platform
from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors


def test_an_action_without_effect_answers_alike_and_changes_nothing(
    effectless: Effect, step: Claim, vendors: Vendors
) -> None:
    prepared = effectless.prepare(step)
    before = vendors.total()
    first = effectless.begin(prepared)
    assert first
    assert effectless.begin(prepared) == first
    if prepared.action.effect is platform.Effect.NONE:
        assert prepared.intents == ()
        assert vendors.total() == before
