"""What has failed for good: which workflows that are, and how each leaves the list, once."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, NotFound
from app.protocol.claims import claim_step
from app.queries import human_tasks
from app.queries.dead_letters import DeadLetters, dead_letter_groups, dead_letters
from chains.catalogue import versions
from chains.commands import dead_letters as commands
from chains.commands.command import Caller, caller_of
from chains.commands.dead_letters import Part, Settled
from chains.commands.fork import fork
from chains.commands.replay import BEGINNING, Replay, Replayed, replay
from chains.commands.resolve import Resolution, dismiss, resolve
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from chains.repair.reconcile import reconcile
from tests.bench.costs import filling
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.integration.queries.test_listing import buffers, statements
from tests.integration.queries.test_queues import another_user, pages_of
from tests.integration.running.test_policies import spend
from tests.unit.definitions import fail, noop

UNDONE = {"compensation": {"action": "control.noop"}}
KEPT = {"sequence": [noop("a"), fail("f")]}
TAKEN_BACK = {"sequence": [noop("a"), {**noop("b"), **UNDONE}, fail("f")]}
PICKY = {"type": "object", "properties": {"n": {"type": "integer"}}}
GRANTED = {**fail("f"), "when": "input.fails"}


def failed(kernel: Kernel, node: dict[str, Any] = KEPT, given: Any = None, **rest: Any) -> UUID:
    """A workflow that has failed for good."""
    workflow = kernel.start(kernel.register(node, **rest), given or {})
    drive()
    return workflow


def listed(kernel: Kernel, **filters: Any) -> dict[UUID, Any]:
    """The dead letters of the user, by workflow; each stands in the list once."""
    items = dead_letters(kernel.user_id, DeadLetters(**filters)).items
    found = {UUID(item["id"]): item for item in items}
    assert len(found) == len(items)
    return found


def others(kernel: Kernel, *made: UUID) -> int:
    """The number of workflows of the user other than these."""
    row = db.row(
        "SELECT count(*) AS n FROM workflows WHERE user_id = %s AND id <> ALL (%s)",
        (kernel.user_id, [*made]),
    )
    return int(row["n"]) if row else 0


def test_what_has_failed_for_good_is_listed_once_and_nothing_else_is(
    kernel: Kernel, ada: Caller
) -> None:
    kept, taken_back = failed(kernel), failed(kernel, TAKEN_BACK)
    parent = failed(kernel, {"workflow": "call", "type": kernel.register(KEPT)})
    budget = kernel.register({"sequence": [noop("x"), noop("y")]}, budget_usd="0.50")
    costly = kernel.start(budget)
    spend(kernel, costly, "x", 500_001)
    assert claim_step(costly, "y", 30.0) is None
    reconcile()
    late = kernel.start(kernel.register({"wait": "w", "for": "1h"}, timeout="1m"))
    drive()
    pass_time("2 minutes")
    drive()
    others = [
        failed(kernel, noop("fine")),
        failed(kernel, {"sequence": [noop("h"), fail("f")]}, on_failure="hold"),
        failed(kernel, {"sequence": [{**noop("u"), "compensation": {"action": "control.fail"}},
                                     fail("f")]}),
        failed(kernel, {"map": "m", "over": {"$": "input.l"}, "on_item_failure": "collect",
                        "do": fail("f")}, {"l": [1]}),
    ]  # fmt: skip
    asked = {"sequence": [{"approval": "review", "timeout": "1d"}, noop("z")]}
    rejected, cancelled = failed(kernel, asked), failed(kernel, asked)
    above = failed(kernel, {"workflow": "call", "type": str(kernel.workflow(rejected)["type"])})
    below = db.row("SELECT id FROM workflows WHERE parent_id = %s", (above,))
    assert below is not None
    for each in (rejected, below["id"]):
        give_signal(ada, each, Signal("review", False))
    kernel.cancel(cancelled)
    drive()
    # What has cost too much is dismissed by a person first, and listed here only after that.
    assert costly not in listed(kernel)
    dismiss(ada, costly, "booked")
    found = listed(kernel)
    assert {
        each: (item["status"], item["cause"], item["error_code"], item["step"], item["action"])
        for each, item in found.items()
    } == {
        kept: ("failed", "failed", "asked_to_fail", "f", "control.fail"),
        taken_back: ("compensated", "failed", "asked_to_fail", "f", "control.fail"),
        parent: ("compensated", "failed", "asked_to_fail", "call", "control.fail"),
        costly: ("failed", "over_budget", "over_budget", None, None),
        late: ("failed", "timed_out", "timed_out", None, None),
    }
    assert found[taken_back]["undone"] == ["b"]
    assert found[taken_back]["error"] == {"code": "asked_to_fail", "message": "asked to fail"}
    assert found[costly]["cost_micro_usd"] == 500_001
    needed = {item["id"] for item in human_tasks.attention(kernel.user_id).items}
    assert needed == {*others[1:3]}
    assert not needed & found.keys()
    statuses = [kernel.workflow(each)["status"] for each in (rejected, above, cancelled)]
    assert statuses == ["failed", "compensated", "cancelled"]


def _by_retry(ada: Caller, workflow: UUID) -> UUID | None:
    return retry(ada, workflow).fork_id


def _by_fork(ada: Caller, workflow: UUID) -> UUID | None:
    return fork(ada, workflow, from_step="a").id


def _by_replay(ada: Caller, workflow: UUID) -> UUID | None:
    return replay(ada, workflow, Replay(reason="mended")).replay_id


def _by_start(ada: Caller, workflow: UUID) -> UUID | None:
    return replay(ada, workflow, Replay(BEGINNING, reason="mended")).replay_id


@pytest.mark.usefixtures("agreeing")
@pytest.mark.parametrize("settle", [_by_retry, _by_fork, _by_replay, _by_start])
def test_a_dead_letter_leaves_when_its_work_is_carried_on(
    kernel: Kernel, ada: Caller, settle: Callable[[Caller, UUID], UUID | None]
) -> None:
    workflow = failed(kernel)
    made = settle(ada, workflow)
    assert listed(kernel) == {}
    (item,) = listed(kernel, state="replayed").values()
    assert (item["replay_id"], UUID(item["id"])) == (made, workflow)
    event = kernel.events(workflow)[-1]
    assert event["type"] in {"WorkflowForked", "WorkflowReplayed"}
    assert str(made) in event["data"].values()
    assert event["data"]["by"] == str(kernel.user_id)
    drive()
    # The replay fails as the first did, and is a dead letter of its own.
    (again,) = listed(kernel).values()
    assert (UUID(again["id"]), again["replay_of"]) == (made, workflow)


@pytest.mark.usefixtures("agreeing")
def test_a_dead_letter_is_dismissed_with_a_note(kernel: Kernel, ada: Caller) -> None:
    first, second = failed(kernel), failed(kernel)
    dry, _ = commands.dismiss_many(ada, [first], "known", Part(), is_dry=True)
    assert [(each.is_ok, each.result) for each in dry] == [(True, "dismissed")]
    assert {*listed(kernel)} == {first, second}
    for _ in range(2):
        done, _ = commands.dismiss_many(ada, [first], "known", Part(), is_dry=False)
        assert done == dry
    assert {*listed(kernel)} == {second}
    assert listed(kernel, state="dismissed")[first]["note"] == "known"
    told = [each for each in kernel.events(first) if each["type"] == "DeadLetterDismissed"]
    assert [each["data"] for each in told] == [{"by": str(kernel.user_id), "reason": "known"}]
    with pytest.raises(Conflict, match="dismissed"):
        replay(ada, first, Replay())
    assert retry(ada, first).fork_id is not None
    assert first in listed(kernel, state="replayed")
    done, _ = commands.dismiss_many(ada, [first], "late", Part(), is_dry=False)
    assert [(each.is_ok, each.result) for each in done] == [(False, "replayed")]


def test_what_is_undone_once_more_is_listed_again_when_that_has_ended(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = failed(kernel, TAKEN_BACK)
    before = listed(kernel)[workflow]["ended_at"]
    db.row(
        "SELECT fail_undo_v1('control', 'refund', %s, 'b', 'b~undo', '{control.noop}', '{}', 'x')",
        (workflow,),
    )
    assert (listed(kernel), kernel.workflow(workflow)["status"]) == ({}, "compensating")
    with pytest.raises(Conflict, match="needs a person"):
        replay(ada, workflow, Replay())
    resolve(ada, workflow, "b~undo", Resolution("done", "paid back by hand"))
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert listed(kernel)[workflow]["ended_at"] == before


def test_an_original_whose_fork_has_done_the_work_is_no_open_dead_letter(
    kernel: Kernel, ada: Caller
) -> None:
    node = {"sequence": [noop("a"), {"wait": "w", "for": {"$": "input.for"}}, GRANTED]}
    workflow = kernel.start(kernel.register(node), {"for": "1h", "fails": True})
    drive()
    forked = fork(ada, workflow, from_step="w", input={"for": "1s", "fails": False}).id
    drive()
    pass_time("1 minute")
    drive()
    pass_time("2 hours")
    drive()
    assert (kernel.workflow(workflow)["status"], listed(kernel)) == ("failed", {})
    assert listed(kernel, state="replayed")[workflow]["replay_id"] == forked


def test_a_replay_keeps_the_outcomes_before_the_failure_or_begins_anew(
    kernel: Kernel, ada: Caller
) -> None:
    kept, taken_back, first = failed(kernel), failed(kernel, TAKEN_BACK), failed(kernel, fail("f"))
    for workflow, result, step in (
        (kept, "continued", "f"),
        (taken_back, "continued", "b"),
        (first, "started", None),
    ):
        assert replay(ada, workflow, Replay(), is_dry=True) == Replayed(result, step)
        done = replay(ada, workflow, Replay())
        assert (done.result, done.step) == (result, step)
        assert done.replay_id is not None
        made = kernel.workflow(done.replay_id)
        assert made["forked_from"] == (workflow if step else None)
    drive()
    assert kernel.step(replay_of(kept), "a")["adopted_from"] == kept


def replay_of(workflow: UUID) -> UUID:
    row = db.row("SELECT replay_id FROM dead_letters WHERE workflow_id = %s", (workflow,))
    assert row is not None
    found: UUID = row["replay_id"]
    return found


def test_a_retired_version_is_replayed_by_the_version_that_starts_now(
    kernel: Kernel, ada: Caller
) -> None:
    body = {"name": "mended", "do": KEPT}
    versions.register(body, activates=True)
    workflow = kernel.start("mended")
    drive()
    versions.register({**body, "do": {"sequence": [noop("a"), noop("f")]}}, activates=True)
    versions.retire("mended", 1)
    assert replay(ada, workflow, Replay(), is_dry=True).result == "started"
    made = replay(ada, workflow, Replay()).replay_id
    assert made is not None
    drive()
    row = kernel.workflow(made)
    assert (row["version"], row["status"]) == (2, "succeeded")


def test_a_repeated_request_replays_none_of_its_own_replays(kernel: Kernel, ada: Caller) -> None:
    first, second = failed(kernel), failed(kernel, fail("f"))

    def ask(request_id: str | None) -> list[Settled]:
        done, _ = commands.replay_many(
            ada, DeadLetters(cause="failed"), Replay(), Part(), is_dry=False, request_id=request_id
        )
        return done

    assert [each.workflow_id for each in ask("once")] == [second, first]
    drive()
    assert len(listed(kernel)) == 2, "the replays have failed too"
    assert ask("once") == []
    known = replay(ada, first, Replay(), request_id="once")
    assert (known.result, known.replay_id) == ("known", replay_of(first))
    assert others(kernel, first, second) == 2
    assert len(ask("another")) == 2


def test_another_users_dead_letters_are_not_there(kernel: Kernel) -> None:
    workflow = failed(kernel)
    bo = another_user("bo")
    own = failed(bo, {"sequence": [noop("own"), fail("f")]})
    assert {*listed(bo)} == {own}
    with pytest.raises(NotFound):
        replay(caller_of(bo.user_id), workflow, Replay())
    done, _ = commands.dismiss_many(
        caller_of(bo.user_id), [workflow], "mine?", Part(), is_dry=False
    )
    assert [each.result for each in done] == ["not_found"]
    page = dead_letters(bo.user_id, DeadLetters(), is_operator=True)
    shown = {UUID(item["id"]): (item["owner"], item["error"]) for item in page.items}
    whole = {"code": "asked_to_fail", "message": "asked to fail"}
    assert shown == {
        own: ("bo@example.com", whole),
        workflow: ("ada@example.com", {"code": "asked_to_fail"}),
    }
    counted, _ = dead_letter_groups(bo.user_id, DeadLetters(), is_operator=True)
    assert sum(group["count"] for group in counted) == 2


def test_pages_go_through_all_dead_letters_while_others_come(kernel: Kernel, ada: Caller) -> None:
    made = [failed(kernel) for _ in range(4)]
    first = dead_letters(kernel.user_id, DeadLetters(), limit=2)
    failed(kernel)
    replay(ada, made[2], Replay())
    rest = dead_letters(kernel.user_id, DeadLetters(), cursor=first.next_cursor, limit=2)
    assert [UUID(item["id"]) for item in (*first.items, *rest.items)] == made[::-1]
    assert rest.next_cursor is None
    part, cursor = commands.dismiss_many(
        ada, DeadLetters(cause="failed"), "x", Part(limit=3), is_dry=True
    )
    assert (len(part), cursor is None) == (3, False)


COPIES = 6000


def test_dead_letters_are_found_without_a_look_at_what_succeeded(kernel: Kernel) -> None:
    fine = failed(kernel, noop("fine"))
    assert db.row("SELECT count(*) AS n FROM dead_letters", ()) == {"n": 0}
    failed(kernel)
    filling.copy_finished([fine], COPIES, failing=COPIES + 1)
    db.row("ANALYZE", ())
    with statements() as sent:
        assert len(listed(kernel)) == 1
        assert dead_letter_groups(kernel.user_id, DeadLetters())[1]
        assert dead_letters(kernel.user_id, DeadLetters(), is_operator=True).items
    assert buffers(sent) < 70
    with db.begin() as connection:
        every = "SELECT count(completed_at) FROM workflows"
        assert pages_of(connection, every, ()) > 120, "what a scan reads"
