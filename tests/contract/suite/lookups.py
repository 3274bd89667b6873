"""After a call without an answer the vendor is asked whether it happened. No effect is doubled."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import Unknown
from app.platform import CannotTell, Found, Lost, Never
from tests.contract.cases import Claim, Effect
from tests.contract.vendors import Vendors


def test_a_lost_reply_is_found_and_the_step_goes_on(
    looked_up: Effect, step: Claim, vendors: Vendors
) -> None:
    vendors.change(**looked_up.held)
    prepared = looked_up.prepare(step)
    looked_up.plan(vendors, "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    if looked_up.told is not None:
        assert isinstance(prepared.look_up(), CannotTell)
        looked_up.told(vendors)
    answer = prepared.look_up()
    assert isinstance(answer, Found)
    prepared.adopt(answer)
    looked_up.begin(prepared)
    assert vendors.count(looked_up.books) == 1


def test_what_never_arrived_is_never_in_time(
    looked_up: Effect, step: Claim, vendors: Vendors
) -> None:
    prepared = looked_up.prepare(step)
    looked_up.plan(vendors, "reset_before")
    with pytest.raises(Unknown):
        prepared.run()
    intent = prepared.open_intent()
    is_late = looked_up.lag is not None or looked_up.told is not None
    assert isinstance(prepared.look_up(), CannotTell if is_late else Never)
    long_ago = intent.first_sent_at - (looked_up.gives_up or timedelta(minutes=10))
    ended = Never if looked_up.gives_up is None else Lost
    assert isinstance(prepared.look_up(replace(intent, first_sent_at=long_ago)), ended)
    assert vendors.count(looked_up.books) == 0


def test_an_effect_whose_reply_was_lost_is_undone(
    undone_if_lost: Effect, step: Claim, vendors: Vendors
) -> None:
    vendors.change(**undone_if_lost.held)
    prepared = undone_if_lost.prepare(step)
    undone_if_lost.plan(vendors, "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    if undone_if_lost.told is not None:
        undone_if_lost.told(vendors)
    assert prepared.undo()["result"] == undone_if_lost.results[0]
    assert undone_if_lost.undoings(vendors) == 1


def test_a_retried_step_does_not_take_its_earlier_effect_for_a_lost_one(
    remade: Effect, step: Claim, vendors: Vendors
) -> None:
    vendors.change(**remade.held)
    prepared = remade.prepare(step)
    remade.begin(prepared)
    again = prepared.retried()
    remade.plan(vendors, "reset_before")
    with pytest.raises(Unknown):
        again.run()
    assert not isinstance(again.look_up(), Found)
    assert vendors.count(remade.books) == 1
