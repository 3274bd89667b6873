"""A definition that uses a foreign action is rehearsed like any other."""

import pytest

import tasks
from app.errors import InvalidInput
from chains.rehearsal import FakeMissing, Permanent, Suspends, rehearse
from tests.foreign.definitions import POSTERS, POSTERS_THAT_FAIL

GIVEN = {"text": "Premiere"}


def test_it_runs_with_a_fake(installed: None) -> None:
    printed = Suspends("2h", {"order": "o1", "proof": "http://proof"})
    run = rehearse(POSTERS, input=GIVEN, actions={"pressroom.print": printed})
    assert run.status == "succeeded"
    assert run.output == {"proof": "http://proof"}
    assert run.elapsed.total_seconds() == 7200
    assert run.calls("pressroom.print") == [{"text": "Premiere", "copies": 2}]


def test_it_is_undone_by_its_own_compensation(installed: None) -> None:
    run = rehearse(POSTERS_THAT_FAIL, input=GIVEN, actions={"pressroom.print": {"order": "o1"}})
    assert (run.status, run.undone) == ("compensated", ["print"])


def test_its_input_is_checked_by_its_own_model(installed: None) -> None:
    run = rehearse(
        POSTERS, input={"text": "x" * 501}, actions={"pressroom.print": Permanent("never")}
    )
    assert run.status == "failed"
    assert run.calls("pressroom.print") == []


def test_a_fake_is_asked_for_by_its_name(installed: None) -> None:
    with pytest.raises(FakeMissing, match=r"pressroom\.print"):
        rehearse(POSTERS, input=GIVEN)


def test_without_the_package_it_is_not_known() -> None:
    with pytest.raises(InvalidInput) as caught:
        rehearse(POSTERS, input=GIVEN, actions={"pressroom.print": {}})
    assert caught.value.field == "/do/action"
    assert "pressroom.print" in caught.value.message


def test_where_platforms_are_chosen_without_it_it_is_not_known(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "pressroom.print" in tasks.actions()
    monkeypatch.setenv("PLATFORMS", "stripe, agora")
    tasks.forget()
    assert [platform.name for platform in tasks.platforms()] == ["stripe", "agora"]
    assert {name.partition(".")[0] for name in tasks.actions()} == {"stripe", "agora", "control"}
