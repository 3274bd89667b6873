"""Signals: who may give one, who is asked, and that each counts once."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, Forbidden, NotFound
from app.queries import human_tasks
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.commands.signal import Signal, give_signal
from chains.commands.skip import skip
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop


@pytest.fixture
def ada(kernel: Kernel) -> Caller:
    """The owner of the kernel's workflows."""
    return Caller(kernel.user_id, "ada@example.com")


def user(email: str) -> Caller:
    row = db.row("SELECT create_user_v1(%s) AS id", (email,))
    assert row is not None
    return Caller(row["id"], email)


def asking(kernel: Kernel, **approval: Any) -> UUID:
    """A workflow that waits for `review`."""
    node = {"sequence": [{"approval": "review", **approval}, noop("b")]}
    workflow = kernel.start(kernel.register(node), {"boss": "Boss@example.com"})
    drive()
    assert kernel.step(workflow, "review")["status"] == "waiting"
    return workflow


def test_the_owner_decides_where_nobody_is_named(kernel: Kernel, ada: Caller) -> None:
    workflow = asking(kernel)
    stranger = user("eve@example.com")
    with pytest.raises(NotFound):
        give_signal(stranger, workflow, Signal("review", True))
    done = give_signal(ada, workflow, Signal("review", True, "fine", {"n": 1}))
    assert (done.result, done.step) == ("woken", "review")
    drive()
    output = kernel.step(workflow, "review")["output"]
    assert (output["by"], output["comment"], output["data"]) == (ada.email, "fine", {"n": 1})
    assert kernel.workflow(workflow)["status"] == "succeeded"


@pytest.mark.parametrize("by", [["boss@example.com"], {"$": "[input.boss]"}])
def test_who_is_named_decides_and_not_the_owner(kernel: Kernel, ada: Caller, by: Any) -> None:
    workflow = asking(kernel, by=by)
    boss, stranger = user("Boss@Example.com"), user("eve@example.com")
    with pytest.raises(Forbidden):
        give_signal(ada, workflow, Signal("review", True))
    with pytest.raises(NotFound):
        give_signal(stranger, workflow, Signal("review", True))
    assert [item["step"] for item in human_tasks.approvals(boss.id, boss.email).items] == ["review"]
    (seen,) = human_tasks.approvals(ada.id, ada.email).items
    assert (seen["is_yours"], seen["by"]) == (False, ["boss@example.com"])
    assert human_tasks.approvals(stranger.id, stranger.email).items == []
    assert give_signal(boss, workflow, Signal("review", True)).result == "woken"
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert human_tasks.approvals(boss.id, boss.email).items == []


def test_an_early_signal_is_kept_for_its_approval(kernel: Kernel, ada: Caller) -> None:
    node = {"sequence": [{"wait": "w", "for": "1h"}, {"approval": "review"}]}
    workflow = kernel.start(kernel.register(node))
    drive()
    assert give_signal(ada, workflow, Signal("review", True)).result == "stored"
    skip(ada, workflow, step="w", reason="x")
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("by", "refusal"), [(["boss@example.com"], Forbidden), ({"$": "[input.boss]"}, Conflict)]
)
def test_nobody_slips_in_before_those_who_are_asked(
    kernel: Kernel, ada: Caller, by: Any, refusal: type[Exception]
) -> None:
    node = {"sequence": [{"wait": "w", "for": "1h"}, {"approval": "review", "by": by}]}
    workflow = kernel.start(kernel.register(node), {"boss": "boss@example.com"})
    drive()
    with pytest.raises(refusal):
        give_signal(ada, workflow, Signal("review", True))


def test_a_signal_that_is_sent_again_counts_once(kernel: Kernel, ada: Caller) -> None:
    body = {"approval": "review"}
    node = {"loop": "l", "max": 2, "until": "index == `1`", "do": body}
    workflow = kernel.start(kernel.register(node))
    drive()
    for expected in ("woken", "replayed"):
        done = give_signal(ada, workflow, Signal("review", True), request_id="k")
        assert done.result == expected
    with pytest.raises(Conflict, match="another body"):
        give_signal(ada, workflow, Signal("review", False), request_id="k")
    drive()
    assert kernel.step(workflow, "l[1].review")["status"] == "waiting"


def test_one_of_several_that_wait_is_chosen_by_its_step(kernel: Kernel, ada: Caller) -> None:
    node = {
        "map": "m",
        "over": {"$": "input.l"},
        "do": {"approval": "review", "by": {"$": "[item]"}},
    }
    workflow = kernel.start(kernel.register(node), {"l": ["ada@example.com"] * 3})
    drive()
    assert give_signal(ada, workflow, Signal("review", True, step="m[1].review")).step == (
        "m[1].review"
    )
    with pytest.raises(Conflict, match="does not wait"):
        give_signal(ada, workflow, Signal("review", True, step="m[1].review"))
    assert len(human_tasks.approvals(ada.id, ada.email).items) == 2
    assert give_signal(ada, workflow, Signal("review", True)).step == "m[0].review"


def test_an_unknown_name_is_answered_with_those_there_are(kernel: Kernel, ada: Caller) -> None:
    workflow = asking(kernel, signal="go")
    with pytest.raises(NotFound, match="there are: go"):
        give_signal(ada, workflow, Signal("review", True))


def test_a_signal_during_a_pause_is_recorded_and_nothing_runs(kernel: Kernel, ada: Caller) -> None:
    workflow = asking(kernel)
    pause(ada, workflow)
    assert human_tasks.approvals(ada.id, ada.email).items[0]["is_paused"]
    assert give_signal(ada, workflow, Signal("review", True)).result == "woken"
    assert drive() == []
    resume(ada, workflow)
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_approvals_are_listed_page_by_page(kernel: Kernel, ada: Caller) -> None:
    node = {"approval": "review"}
    name = kernel.register(node)
    started = [kernel.start(name) for _ in range(3)]
    drive()
    first = human_tasks.approvals(ada.id, ada.email, limit=2)
    second = human_tasks.approvals(ada.id, ada.email, limit=2, cursor=first.next_cursor)
    found = [item["workflow_id"] for item in [*first.items, *second.items]]
    assert found == started[::-1]
    assert second.next_cursor is None
    assert give_signal(ada, started[0], Signal("review", True), is_dry=True).step == ("review")
    assert len(human_tasks.approvals(ada.id, ada.email).items) == 3
