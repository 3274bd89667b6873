"""Every effect once, by the vendors' own books: replays, lost replies, lookups, undoing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import Unknown
from app.platform import CannotTell, Found, Never
from tests.contract.effects import EFFECTS, LOOKED_UP, UNDONE, Claim, authorize
from tests.contract.vendors import Vendors


@pytest.mark.parametrize("name", EFFECTS)
def test_a_replay_repeats_nothing(name: str, step: Claim, vendors: Vendors) -> None:
    effect = EFFECTS[name]
    prepared = effect.prepare(step)
    assert effect.begin(prepared) == effect.begin(prepared)
    expected = 0 if name == "agora.open_channel" else 1  # a token is computed, nobody is asked
    assert vendors.count(effect.effect) == expected


@pytest.mark.parametrize("name", LOOKED_UP)
def test_a_lost_reply_is_found_and_the_step_goes_on(
    name: str, step: Claim, vendors: Vendors
) -> None:
    effect = EFFECTS[name]
    vendors.change(vercel__build_seconds=60.0)
    prepared = effect.prepare(step)
    effect.plan(vendors, "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    answer = prepared.look_up()
    assert isinstance(answer, Found)
    prepared.adopt(answer)
    effect.begin(prepared)
    assert vendors.count(effect.effect) == 1


@pytest.mark.parametrize("name", LOOKED_UP)
def test_what_never_arrived_is_never_in_time(name: str, step: Claim, vendors: Vendors) -> None:
    effect = EFFECTS[name]
    prepared = effect.prepare(step)
    effect.plan(vendors, "reset_before")
    with pytest.raises(Unknown):
        prepared.run()
    intent = prepared.open_intent()
    lags = name in ("replicate.predict", "vercel.deploy")
    assert isinstance(prepared.look_up(), CannotTell if lags else Never)
    earlier = replace(intent, first_sent_at=intent.first_sent_at - timedelta(minutes=10))
    assert isinstance(prepared.look_up(earlier), Never)
    assert vendors.count(effect.effect) == 0


@pytest.mark.parametrize(
    ("name", "lag"),
    [
        ("replicate.predict", "replicate__list_lag_seconds"),
        ("vercel.deploy", "vercel__list_lag_seconds"),
    ],
)
def test_a_lagging_list_is_no_proof(name: str, lag: str, step: Claim, vendors: Vendors) -> None:
    effect = EFFECTS[name]
    prepared = effect.prepare(step)
    vendors.change(**{lag: 600.0})
    effect.plan(vendors, "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    assert isinstance(prepared.look_up(), CannotTell)
    vendors.change(**{lag: 0.0})
    assert isinstance(prepared.look_up(), Found)


def test_a_step_is_not_found_by_another_ones_payment(step: Claim, vendors: Vendors) -> None:
    authorize(step).run()
    other = authorize(step)
    vendors.fault("stripe", "payment_intents.create", "reset_before")
    with pytest.raises(Unknown):
        other.run()
    assert isinstance(other.look_up(), Never)


@pytest.mark.parametrize("name", UNDONE)
def test_a_compensation_twice_undoes_once(name: str, step: Claim, vendors: Vendors) -> None:
    effect = EFFECTS[name]
    vendors.change(replicate__hold=True)
    prepared = effect.prepare(step)
    external_id = effect.begin(prepared) if effect.suspends else None
    if external_id is None:
        effect.begin(prepared)
    results = [prepared.undo(external_id=external_id)["result"] for _ in range(2)]
    assert results == list(effect.results)
    assert effect.undone is not None
    assert vendors.count(effect.undone) == 1


@pytest.mark.parametrize("name", UNDONE)
def test_undoing_what_never_began_does_nothing(name: str, step: Claim, vendors: Vendors) -> None:
    effect = EFFECTS[name]
    prepared = effect.prepare(step)
    prepared.undo()
    assert effect.undone is not None
    expected = 1 if name == "agora.open_channel" else 0  # its name is known, so it is closed
    assert vendors.count(effect.undone) == expected


@pytest.mark.parametrize("name", LOOKED_UP)
def test_an_effect_whose_reply_was_lost_is_undone(name: str, step: Claim, vendors: Vendors) -> None:
    effect = EFFECTS[name]
    vendors.change(replicate__hold=True)
    prepared = effect.prepare(step)
    effect.plan(vendors, "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    assert prepared.undo()["result"] == effect.results[0]
    assert effect.undone is not None
    assert vendors.count(effect.undone) == 1
