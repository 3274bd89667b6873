"""Steps of many workflows share a batch at OpenAI; each is answered, and pays for its own line."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from app import db
from app.batches import rows
from app.errors import Permanent, Retryable
from app.identity import keys
from app.platform.batches import Seen
from app.settings import Settings
from chains.batches.carrying import carry
from chains.batches.moving import MOST_REFUSALS
from chains.commands.command import caller_of
from chains.commands.pause import pause, resume
from chains.repair.housekeeping import clean_batches
from tasks.openai.batches import calls, results
from tasks.openai.costs import cost
from tests.contract.openai.batching import (
    GATHERED,
    Dying,
    Killed,
    asked,
    batches,
    come,
    died,
    later,
    limited,
    lines,
    long_ago,
    mover,
    node,
    only,
    passed,
    sent,
)
from tests.contract.openai.cases import told
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.invariants import broken
from tests.unit.definitions import noop


def test_lines_of_many_workflows_are_one_batch_and_each_is_answered(
    kernel: Kernel, vendors: Vendors
) -> None:
    started = asked(kernel, 3)
    assert carry(30)["gathered"] == 0, "the oldest has not waited for long"
    batch = sent()
    assert (batch["state"], batch["lines"], batch["model"]) == ("running", 3, "gpt-6-luna")
    assert [kernel.step(each, "ask")["status"] for each in started] == ["waiting"] * 3
    come(vendors)
    outputs = [kernel.step(each, "ask")["output"] for each in started]
    assert all(each["text"] for each in outputs)
    assert {each["tier"] for each in outputs} == {"batch"}
    assert [kernel.workflow(each)["status"] for each in started] == ["succeeded"] * 3
    made = outputs[0]["tokens"]
    usage = {f"{name}_tokens": made[name] for name in ("input", "cached", "cache_write", "output")}
    full = cost(usage | {"model": outputs[0]["model"], "tier": "default"}).micro_usd
    spent = kernel.workflow(started[0])["spent"]
    assert 0 < spent <= full / 2 + 1
    assert vendors.count("batches") == vendors.count("files") == 1
    assert vendors.count("captions") == 3
    carry(30)
    assert (only()["state"], vendors.count("files_deleted")) == ("ended", 2)
    assert all(each["settled_at"] and each["answer"] is None for each in lines())
    assert broken(db.rows) == []


def test_the_rows_of_batches_are_deleted_after_a_while(kernel: Kernel, vendors: Vendors) -> None:
    asked(kernel, 1)
    sent()
    come(vendors)
    carry(30)
    assert clean_batches() == {"deleted": 0}
    passed("8 days")
    db.row("UPDATE batch_lines SET settled_at = settled_at - interval '8 days'", ())
    assert clean_batches() == {"deleted": 2}


@pytest.mark.parametrize(
    ("call", "effect", "state"),
    [("files.create", "files", "uploading"), ("batches.create", "batches", "creating")],
)
@pytest.mark.parametrize("kind", ["lost_reply", "reset_before"])
def test_what_was_sent_and_not_answered_is_adopted_or_made_again_once(
    kernel: Kernel, vendors: Vendors, call: str, effect: str, state: str, kind: str
) -> None:
    (workflow,) = asked(kernel, 1)
    vendors.fault("openai", call, kind)
    assert sent()["state"] == state
    passed("1 minute")
    carry(30)
    is_found = kind == "lost_reply"
    assert only()["state"] == ("running" if is_found else state)
    if not is_found:
        assert vendors.count(effect) == 0
        long_ago()
        passed("1 minute")
        carry(30)
    come(vendors)
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert vendors.count("files") == vendors.count("batches") == 1


def test_a_refused_look_for_a_lost_batch_makes_no_second_one(
    kernel: Kernel, vendors: Vendors
) -> None:
    asked(kernel, 1)
    vendors.fault("openai", "batches.create", "lost_reply")
    assert sent()["state"] == "creating"
    for status in (401, 429, 400, 503):
        vendors.fault("openai", "batches.list", "status", status=status)
        passed("1 hour")
        carry(30)
        assert only()["state"] == "creating", status
    long_ago()
    passed("1 hour")
    carry(30)
    assert (only()["state"], vendors.count("batches")) == ("running", 1)


def test_an_outage_before_a_refused_look_gives_no_batch_up(
    kernel: Kernel, vendors: Vendors
) -> None:
    def down(batch: str) -> Seen:
        raise Retryable("no answer")

    def gone(batch: str) -> Seen:
        raise Permanent("there is no such batch", code="not_found")

    def after(look: Callable[[str], Seen]) -> str:
        mover(look=look).run()
        return str(only()["state"])

    (workflow,) = asked(kernel, 1)
    sent()
    assert {after(down) for _ in range(MOST_REFUSALS + 1)} == {"running"}
    refusals = next(n for n in range(1, MOST_REFUSALS + 2) if after(gone) != "running")
    assert refusals > MOST_REFUSALS / 2
    drive()
    assert kernel.workflow(workflow)["spent"] == lines()[0]["ceiling"] > 0


def test_a_file_that_cannot_be_looked_for_has_cost_nothing(
    kernel: Kernel, vendors: Vendors
) -> None:
    def refused(reference: str, since: datetime) -> str | None:
        raise Permanent("the list is not for you", code="platform_refused")

    (workflow,) = asked(kernel, 1)
    vendors.fault("openai", "files.create", "lost_reply")
    assert sent()["state"] == "uploading"
    for _ in range(MOST_REFUSALS):
        mover(find_upload=refused).run()
    assert only()["state"] == "clearing"
    drive()
    carry(30)
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert kernel.workflow(workflow)["spent"] == lines()[0]["cost"] == 0


def test_a_process_that_dies_while_it_reads_is_followed_by_another(
    kernel: Kernel, vendors: Vendors
) -> None:
    started = asked(kernel, 2)
    batch = sent()
    vendors.fault("openai", "batches.line", "fail", count=1)
    later(vendors, 3 * 3600)
    first = mover(results=Dying(1))
    # Each line is recorded alone, and not in chunks that the death takes along.
    with pytest.raises(Killed):
        first.run()
    assert only()["state"] == "reading"
    died(batch)
    second = mover()
    second.ending.record(second.batch, results.results(second.batch.result_files[0]))  # type: ignore[index]
    states = [each["state"] for each in lines()]
    assert sorted(states) == ["answered", "sent"]
    died(batch)
    carry(30)
    drive()
    assert sorted(each["state"] for each in lines()) == ["answered", "waiting"]
    (again,) = [each for each in lines() if each["state"] == "waiting"]
    assert (again["tries"], again["batch_id"]) == (1, None)
    passed(GATHERED)
    carry(30)
    come(vendors)
    assert [kernel.workflow(each)["status"] for each in started] == ["succeeded"] * 2
    assert len(batches()) == 2
    assert vendors.count("captions") == 2


def test_a_batch_that_no_step_waits_for_is_cancelled_at_openai(
    kernel: Kernel, vendors: Vendors
) -> None:
    (gone,) = asked(kernel, 1)
    sent()
    kernel.cancel(gone)
    drive()
    passed("10 minutes")
    carry(30)
    assert vendors.count("batches_cancelling") == 1
    come(vendors, 0.1)
    passed("1 hour")
    carry(30)
    assert (batches()[0]["ending"], vendors.count("captions")) == ("cancelled", 0)


def test_lines_of_two_organisations_share_no_batch(kernel: Kernel, vendors: Vendors) -> None:
    bob, _ = keys.create_key("bob@example.com")
    asked(kernel, 1)
    asked(Kernel(bob), 1)
    passed(GATHERED)
    carry(30)
    assert [each["lines"] for each in batches()] == [1, 1]
    assert len({each["organisation_id"] for each in batches()}) == 2


def carried() -> None:
    try:
        carry(30)
    finally:
        db.release()


def test_enough_lines_are_gathered_at_once_and_once(
    kernel: Kernel, vendors: Vendors, configure: Callable[..., Settings]
) -> None:
    limited(configure, OPENAI_BATCH_LINES="2")
    asked(kernel, 5)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: carried(), range(3)))
    carry(30)
    assert sorted(each["lines"] for each in batches()) == [2, 2]
    assert [each["state"] for each in lines()] == ["sent"] * 4 + ["waiting"]
    assert vendors.count("batches") == vendors.count("files") == 2


def test_a_line_of_a_paused_workflow_lets_no_other_go_alone(
    kernel: Kernel, vendors: Vendors
) -> None:
    (paused,) = asked(kernel, 1)
    pause(caller_of(kernel.user_id), paused)
    passed(GATHERED)
    asked(kernel, 1)
    assert carry(30)["gathered"] == 0, "the new line waits for others"
    passed(GATHERED)
    assert carry(30)["gathered"] == 1
    resume(caller_of(kernel.user_id), paused)
    assert carry(30)["gathered"] == 1


def test_a_refused_credential_holds_the_batch_which_goes_on_later(
    kernel: Kernel, vendors: Vendors
) -> None:
    (workflow,) = asked(kernel, 1)
    vendors.fault("openai", "files.create", "status", status=401)
    batch = sent()
    assert batch["state"] == "gathered"
    assert "OPENAI_API_KEY" in batch["error"]
    (health,) = db.rows("SELECT is_ok FROM platform_health WHERE platform = 'openai'", ())
    assert not health["is_ok"]
    passed("10 minutes")
    carry(30)
    assert only()["state"] == "running"
    come(vendors)
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_webhook_lets_the_batch_be_looked_at(kernel: Kernel, vendors: Vendors) -> None:
    (workflow,) = asked(kernel, 1)
    batch = sent()
    later(vendors, 3 * 3600)
    carry(30)
    assert only()["state"] == "running", "it is not looked at before its time"
    assert told("batch.completed", batch["external_id"])
    carry(30)
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_webhook_during_a_look_is_not_forgotten(kernel: Kernel, vendors: Vendors) -> None:
    asked(kernel, 1)
    batch = sent()
    held = mover()
    rows.look_soon("openai", batch["external_id"])
    held.run()
    assert rows.claim("openai", 10.0) is not None


def test_a_budget_reserves_half_the_price_and_gets_back_what_is_left(
    kernel: Kernel, vendors: Vendors
) -> None:
    name = kernel.register(node(), budget_usd="0.50")
    workflow = kernel.start(name)
    drive()
    (line,) = lines()
    assert kernel.step(workflow, "ask")["reserved"] == line["ceiling"]
    sent()
    come(vendors)
    row = db.row("SELECT spent, reserved FROM budgets WHERE workflow_id = %s", (workflow,))
    assert row == {"spent": kernel.workflow(workflow)["spent"], "reserved": 0}
    assert 0 < kernel.workflow(workflow)["spent"] <= line["ceiling"]


def test_a_batch_that_is_not_there_is_not_found_among_others(
    settings: Settings, vendors: Vendors
) -> None:
    now = datetime.now(UTC)
    assert calls.find("another", now) is None
    assert calls.find_upload("another", now) is None
    calls.delete("file-none")
    calls.cancel("batch_none")


MANY = 2000


@pytest.mark.long
@pytest.mark.timeout(900)
def test_2000_lines_that_are_outstanding_hold_no_slot_and_their_lost_batch_is_adopted(
    kernel: Kernel, vendors: Vendors
) -> None:
    name = kernel.register(node())
    started = [kernel.start(name) for _ in range(MANY)]
    drive(MANY * 2)
    vendors.fault("openai", "batches.create", "lost_reply")
    assert (sent()["state"], only()["lines"]) == ("creating", MANY)
    passed("1 minute")
    carry(30)
    assert (only()["state"], vendors.count("batches")) == ("running", 1)
    counted = "SELECT status, count(*) AS number FROM steps GROUP BY status"
    assert db.rows(counted, ()) == [{"status": "waiting", "number": MANY}], "no slot is held"
    other = kernel.start(kernel.register(noop("other")))
    assert drive() == ["other"], "nothing else is due, and the other goes on"
    assert kernel.workflow(other)["status"] == "succeeded"
    later(vendors, 3 * 3600)
    passed("3 hours")
    while only()["state"] != "ended":
        carry(30)
    drive(MANY * 2)
    statuses = {kernel.workflow(each)["status"] for each in started}
    assert statuses == {"succeeded"}
    assert vendors.count("captions") == MANY
    row = db.row("SELECT sum(spent) AS spent FROM workflows", ())
    assert row is not None
    assert row["spent"] == sum(each["cost"] for each in lines()) > 0
    carry(30)
    assert all(each["settled_at"] for each in lines())
