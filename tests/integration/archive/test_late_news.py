"""What a platform reports of a workflow after it was archived."""

from uuid import UUID

import pytest
from sqlalchemy import text

from app import db
from app.errors import Conflict
from app.platform import Delivery, FailedUndo
from app.queries import human_tasks
from chains.commands.accept_delivery import accept_delivery
from chains.commands.command import caller_of
from chains.commands.resolve import dismiss
from chains.repair import orphans, rebuild
from tests.integration.archive.conftest import move, rows_of
from tests.integration.archive.test_job import pass_days, run
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import fail, noop

TAKEN_BACK = {
    "sequence": [
        {**noop("a"), "compensation": {"action": "control.noop"}},
        {"wait": "w", "for": "1h"},
    ]
}


def compensated(kernel: Kernel) -> UUID:
    """A workflow whose step `a` was undone."""
    workflow = kernel.start(kernel.register(TAKEN_BACK))
    drive()
    kernel.cancel(workflow)
    drive()
    assert kernel.workflow(workflow)["status"] == "compensated"
    return workflow


def sent_back(workflow: UUID, refund: str, generation: int | None = None) -> None:
    failed = FailedUndo(refund, f"{workflow}/a", "the bank has sent it back", generation)
    accept_delivery("control", Delivery(refund, None, "refund.failed", {}, failed_undo=failed))


def seen(kernel: Kernel) -> int:
    """What the list of what needs a person has of the one workflow that it shows."""
    (item,) = human_tasks.attention(kernel.user_id).items
    return int(item["seen"])


def test_a_refund_that_fails_after_the_archive_restores_the_workflow_and_calls_a_person(
    kernel: Kernel,
) -> None:
    workflow = compensated(kernel)
    move(workflow)
    for _ in range(2):
        sent_back(workflow, "r")
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("compensating", "compensation_failed")
    failures = [each for each in kernel.events(workflow) if each["type"] == "UndoFailed"]
    assert len(failures) == 1


def test_what_a_step_did_fails_after_the_archive_and_calls_a_person_until_it_is_dismissed(
    kernel: Kernel,
) -> None:
    workflow = kernel.start(kernel.register({"sequence": [noop("a"), noop("b")]}))
    drive()
    move(workflow)
    for _ in range(2):
        sent_back(workflow, "r")
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("succeeded", "effect_failed")
    failures = [each for each in kernel.events(workflow) if each["type"] == "EffectFailed"]
    assert [each["data"]["external_id"] for each in failures] == ["r"]
    dismiss(caller_of(kernel.user_id), workflow, "paid otherwise", seen=seen(kernel))
    sent_back(workflow, "r")
    assert kernel.workflow(workflow)["attention"] is None


def test_a_failure_that_comes_after_the_list_is_not_dismissed_with_what_the_list_had(
    kernel: Kernel,
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    drive()
    sent_back(workflow, "first")
    read = seen(kernel)
    sent_back(workflow, "second")
    ada = caller_of(kernel.user_id)
    for known in (read, None):
        with pytest.raises(Conflict) as refused:
            dismiss(ada, workflow, "paid otherwise", seen=known)
        assert refused.value.code == "not_seen"
    (item,) = human_tasks.attention(kernel.user_id).items
    assert len(item["steps"]) == 2
    dismiss(ada, workflow, "both are paid otherwise", seen=item["seen"])
    assert kernel.workflow(workflow)["attention"] is None
    sent_back(workflow, "third")
    (item,) = human_tasks.attention(kernel.user_id).items
    assert len(item["steps"]) == 1


def test_a_dismissed_failure_shows_the_step_that_needs_a_person_again(
    kernel: Kernel,
) -> None:
    failing = {"sequence": [noop("a"), fail("b")]}
    workflow = kernel.start(kernel.register(failing, on_failure="hold"))
    drive()
    assert kernel.workflow(workflow)["attention"] == "step_failed"
    sent_back(workflow, "r")
    assert kernel.workflow(workflow)["attention"] == "effect_failed"
    dismiss(caller_of(kernel.user_id), workflow, "paid otherwise", seen=seen(kernel))
    assert kernel.workflow(workflow)["attention"] == "step_failed"


def attention(workflow: UUID, reason: str) -> None:
    with db.begin() as connection:
        told = {"id": workflow, "reason": reason}
        connection.execute(text("SELECT call_person_v1(:id, NULL, :reason)"), told)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("reason", "is_ended"),
    [
        ("cost_above_ceiling", True),
        ("delivery_undecided", True),
        ("timed_out", False),
    ],
)
def test_a_dismissed_failure_shows_the_need_that_it_has_hidden(
    kernel: Kernel, is_first: bool, reason: str, is_ended: bool
) -> None:
    rest = noop("b") if is_ended else {"wait": "w", "for": "1h"}
    workflow = kernel.start(kernel.register({"sequence": [noop("a"), rest]}))
    drive()
    if is_first:
        attention(workflow, reason)
    sent_back(workflow, "r")
    if not is_first:
        attention(workflow, reason)
    assert kernel.workflow(workflow)["attention"] == "effect_failed"
    ada = caller_of(kernel.user_id)
    dismiss(ada, workflow, "paid otherwise", seen=seen(kernel))
    assert kernel.workflow(workflow)["attention"] == reason
    assert list(rebuild.differences()) == []
    dismiss(ada, workflow, "I have looked at it too")
    assert kernel.workflow(workflow)["attention"] is None


def test_the_end_of_a_workflow_settles_a_hidden_time_out(kernel: Kernel) -> None:
    pending = {"sequence": [noop("a"), {"wait": "w", "for": "1h"}]}
    workflow = kernel.start(kernel.register(pending))
    drive()
    sent_back(workflow, "r")
    attention(workflow, "timed_out")
    kernel.cancel(workflow)
    drive()
    dismiss(caller_of(kernel.user_id), workflow, "paid otherwise", seen=seen(kernel))
    assert kernel.workflow(workflow)["attention"] is None


def test_the_failure_of_what_a_retry_has_replaced_calls_no_person(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    drive()
    with db.begin() as connection:
        connection.execute(
            text("UPDATE steps SET generation = 1 WHERE workflow_id = :id"), {"id": workflow}
        )
    sent_back(workflow, "first", generation=0)
    assert kernel.workflow(workflow)["attention"] is None
    sent_back(workflow, "second", generation=1)
    assert kernel.workflow(workflow)["attention"] == "effect_failed"


def test_a_refund_that_fails_after_the_erasure_changes_nothing(kernel: Kernel) -> None:
    workflow = compensated(kernel)
    pass_days(91)
    run()
    pass_days(401)
    assert run()["erased"] == 1
    sent_back(workflow, "r")
    assert rows_of(workflow) == {}
    assert db.rows("SELECT FROM archived WHERE state = 'restored'", ()) == []


OPEN = (
    "INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload, effect_id,"
    " effect_workflow_id, effect_step_key) VALUES ('control', 'd', 'k', '{}', 'e', %s, 'only')"
)


def fates() -> list[str | None]:
    return [
        row["fate"]
        for row in db.rows("SELECT fate FROM webhook_deliveries WHERE effect_id IS NOT NULL", ())
    ]


def test_an_effect_that_was_reported_while_its_workflow_was_archived_is_decided(
    kernel: Kernel,
) -> None:
    workflow = kernel.start(kernel.register(noop("only")))
    drive()
    move(workflow)
    db.row(OPEN, (workflow,))
    orphans.decide(10)
    assert fates() == ["orphan"]
    assert kernel.step(workflow, "only~orphan[e]~undo")["status"] == "pending"


def test_an_effect_of_an_erased_workflow_does_not_stay_undecided(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(noop("only")))
    drive()
    pass_days(91)
    run()
    pass_days(401)
    run()
    db.row(OPEN, (workflow,))
    orphans.decide(10)
    assert fates() == ["late"]
