"""How the lines of batches end: answered, refused, expired, dropped, and by what they have cost."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError

from app import db
from app.errors import Permanent
from app.files import artifacts
from app.payload import text_of
from app.platform import Json
from app.platform.batches import Fault, LineEnd
from app.protocol import intents
from app.record import verification
from app.settings import Settings
from chains.batches.carrying import carry
from chains.batches.ending import Ending
from chains.repair import rebuild
from tasks.openai.batches import calls, results
from tasks.openai.batches.asking import BatchInput
from tasks.openai.batches.carrying import bounds
from tests.contract.cases import Claim
from tests.contract.openai.batching import (
    ASKED,
    GATHERED,
    asked,
    batches,
    come,
    error,
    later,
    limited,
    lines,
    mover,
    node,
    only,
    passed,
    sent,
)
from tests.contract.pictures import small
from tests.contract.vendors import Vendors
from tests.integration.archive.conftest import move
from tests.integration.conftest import Kernel
from tests.integration.driving import drive


def test_a_line_that_fails_for_long_ends_with_the_code_of_openai(
    kernel: Kernel, vendors: Vendors, configure: Callable[..., Settings]
) -> None:
    limited(configure, OPENAI_BATCH_TRIES="2")
    (workflow,) = asked(kernel, 1)
    vendors.fault("openai", "batches.line", "fail", count=2)
    for _ in range(2):
        passed(GATHERED)
        carry(30)
        come(vendors)
    assert kernel.workflow(workflow)["status"] == "compensated"
    assert error(kernel, workflow)["code"] == "server_error"
    assert kernel.workflow(workflow)["spent"] == 0


def test_a_line_that_is_refused_fails_alone(kernel: Kernel, vendors: Vendors) -> None:
    schema = {"type": "object", "properties": {}}
    (wrong,) = asked(kernel, 1, answer_schema=schema)
    (right,) = asked(kernel, 1)
    assert sent()["lines"] == 2
    come(vendors)
    assert kernel.workflow(right)["status"] == "succeeded"
    assert error(kernel, wrong)["code"] == "invalid_json_schema"


def test_lines_of_a_batch_that_expires_are_sent_once_more(kernel: Kernel, vendors: Vendors) -> None:
    vendors.change(openai__batch_hours=40.0)
    started = asked(kernel, 2)
    sent()
    come(vendors, 25)
    states = [kernel.workflow(each)["status"] for each in started]
    assert sorted(states) == ["running", "succeeded"]
    vendors.change(openai__batch_hours=1.0)
    passed(GATHERED)
    carry(30)
    come(vendors)
    assert [kernel.workflow(each)["status"] for each in started] == ["succeeded"] * 2
    assert [each["ending"] for each in batches()] == ["expired", "completed"]
    assert vendors.count("captions") == 2


def test_lines_that_never_come_to_their_turn_fail(
    kernel: Kernel, vendors: Vendors, configure: Callable[..., Settings]
) -> None:
    limited(configure, OPENAI_BATCH_TRIES="1")
    vendors.change(openai__batch_hours=100.0)
    (workflow,) = asked(kernel, 1)
    sent()
    come(vendors, 25)
    assert error(kernel, workflow)["code"] == "batch_expired"


def test_a_batch_for_which_there_is_no_room_comes_again_in_two(
    kernel: Kernel, vendors: Vendors
) -> None:
    started = asked(kernel, 2)
    (line, _) = lines()
    vendors.change(openai__enqueued_tokens=float(line["bytes"] // 4 + 60))
    sent()
    come(vendors, 0.1)
    assert [each["state"] for each in lines()] == ["waiting"] * 2
    for _ in range(3):
        passed("16 minutes")
        carry(30)
        come(vendors)
    assert [kernel.workflow(each)["status"] for each in started] == ["succeeded"] * 2
    assert [each["lines"] for each in batches()] == [2, 1, 1]
    assert {each["tries"] for each in lines()} == {0}


def test_a_batch_that_is_refused_as_a_whole_fails_its_steps_by_name(
    kernel: Kernel, vendors: Vendors
) -> None:
    (workflow,) = asked(kernel, 1, model="gpt-none")
    sent()
    come(vendors, 0.1)
    assert error(kernel, workflow)["code"] == "model_not_found"


def test_a_line_that_the_platform_names_fails_and_the_others_are_sent_again(
    kernel: Kernel, vendors: Vendors
) -> None:
    asked(kernel, 3)
    sent()
    held = mover()
    ending, batch = Ending("openai", bounds()), held.batch
    ending.refused(batch, [Fault("invalid_type", "'body' is no object", line=2)])
    assert [each["state"] for each in lines()] == ["waiting", "failed", "waiting"]
    assert {each["tries"] for each in lines()} == {0}
    assert lines()[1]["error"]["code"] == "invalid_type"


def test_a_batch_that_is_refused_until_somebody_pays_is_sent_again_and_named(
    kernel: Kernel, vendors: Vendors
) -> None:
    asked(kernel, 2)
    sent()
    held = mover()
    words = "Billing hard limit has been reached."
    error = {"code": "billing_hard_limit_reached", "line": None, "message": words}
    Ending("openai", bounds()).refused(held.batch, [results.fault_of(error)])
    assert [(each["state"], each["tries"]) for each in lines()] == [("waiting", 0)] * 2
    (health,) = db.rows("SELECT is_ok, error FROM platform_health WHERE platform = 'openai'", ())
    assert not health["is_ok"]
    assert words in health["error"]


def test_a_line_that_is_refused_until_somebody_pays_is_sent_again_and_counts_no_try(
    kernel: Kernel, vendors: Vendors, configure: Callable[..., Settings]
) -> None:
    limited(configure, OPENAI_BATCH_TRIES="1")
    (workflow,) = asked(kernel, 1)
    sent()
    (line,) = lines()
    said = {"code": "insufficient_quota", "type": "insufficient_quota", "message": "No credit."}
    response = {"status_code": 429, "body": {"error": said}}
    written = text_of({"custom_id": str(line["id"]), "response": response, "error": None})
    file = calls.upload("unpaid", [f"{written}\n".encode()])
    later(vendors, 3 * 3600)
    mover(results=lambda _: results.results(file)).run()
    drive()
    assert [(each["state"], each["tries"]) for each in lines()] == [("waiting", 0)]
    assert kernel.step(workflow, "ask")["status"] == "waiting"
    (health,) = db.rows("SELECT is_ok FROM platform_health WHERE platform = 'openai'", ())
    assert not health["is_ok"]


def test_a_line_that_is_in_neither_file_is_named(kernel: Kernel, vendors: Vendors) -> None:
    (workflow,) = asked(kernel, 1)
    batch = sent()
    later(vendors, 3 * 3600)
    mover(results=lambda file: iter(())).run()
    drive()
    found = error(kernel, workflow)
    assert found["code"] == "line_missing"
    assert batch["external_id"] in found["message"]
    assert kernel.workflow(workflow)["spent"] == lines()[0]["ceiling"] > 0, "it may be paid"


def test_an_answer_that_cannot_be_read_is_paid_at_the_ceiling_of_its_line(
    kernel: Kernel, vendors: Vendors
) -> None:
    (workflow,) = asked(kernel, 1)
    sent()
    later(vendors, 3 * 3600)
    (line,) = lines()
    odd = [
        LineEnd(str(line["id"]), "failed", error={"code": "unreadable", "message": "x"}, cost=None)
    ]
    foreign = [
        LineEnd("line-1", "answered", answer={}),
        LineEnd(str(workflow), "answered", answer={}),
    ]
    mover(results=lambda file: iter(odd + foreign)).run()
    drive()
    carry(30)
    assert error(kernel, workflow)["code"] == "unreadable"
    assert kernel.workflow(workflow)["spent"] == line["ceiling"] > 0


def uncounted(file: str) -> Iterator[LineEnd]:
    """Results of which OpenAI does not tell the tokens."""
    for each in results.results(file):
        assert each.answer is not None
        seen = each.answer | {"is_counted": False, "input_tokens": 0, "output_tokens": 0}
        yield replace(each, answer=seen, cost=None)


def test_an_answer_whose_tokens_are_not_told_is_paid_at_the_ceiling_of_its_line(
    kernel: Kernel, vendors: Vendors
) -> None:
    (workflow,) = asked(kernel, 1)
    sent()
    later(vendors, 3 * 3600)
    mover(results=uncounted).run()
    drive()
    carry(30)
    (line,) = lines()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert kernel.workflow(workflow)["spent"] == line["ceiling"] > 0


def test_a_step_whose_line_is_refused_gives_back_what_it_has_reserved(
    kernel: Kernel, vendors: Vendors
) -> None:
    wrong = node(answer_schema={"type": "object", "properties": {}})
    workflow = kernel.start(kernel.register(wrong, budget_usd="0.50", on_failure="hold"))
    drive()
    assert kernel.step(workflow, "ask")["reserved"] > 0
    sent()
    come(vendors)
    assert kernel.step(workflow, "ask")["status"] == "failed"
    row = db.row("SELECT spent, reserved FROM budgets WHERE workflow_id = %s", (workflow,))
    assert row == {"spent": 0, "reserved": 0}


def test_a_step_that_is_cancelled_before_it_is_sent_costs_nothing(
    kernel: Kernel, vendors: Vendors
) -> None:
    kept, gone = asked(kernel, 2)
    kernel.cancel(gone)
    drive()
    assert kernel.workflow(gone)["status"] == "compensated"
    assert sent()["lines"] == 1
    come(vendors)
    assert kernel.workflow(kept)["status"] == "succeeded"
    assert (kernel.workflow(gone)["spent"], vendors.count("captions")) == (0, 1)


def test_a_step_that_ends_undone_leaves_its_gathered_batch(
    kernel: Kernel, vendors: Vendors
) -> None:
    (gone,) = asked(kernel, 1)
    vendors.fault("openai", "files.create", "status", status=429)
    assert sent()["state"] == "gathered"
    kernel.cancel(gone, undo=False)
    drive()
    passed("1 hour")
    carry(30)
    carry(30)
    assert (only()["state"], vendors.count("files")) == ("ended", 0)


@pytest.mark.parametrize("undo", [True, False])
def test_the_line_of_a_cancelled_step_runs_on_and_is_paid(
    kernel: Kernel, vendors: Vendors, undo: bool
) -> None:
    kept, gone = asked(kernel, 2)
    sent()
    kernel.cancel(gone, undo=undo)
    drive()
    assert kernel.workflow(gone)["completed_at"] is not None
    assert kernel.workflow(gone)["spent"] == 0
    come(vendors)
    carry(30)
    paid = [kernel.workflow(each)["spent"] for each in (kept, gone)]
    assert paid[0] == paid[1] > 0
    carry(30)
    assert kernel.workflow(gone)["spent"] == paid[1]
    assert kernel.step(gone, "ask")["output"] is None
    assert all(each["answer"] is None and each["settled_at"] for each in lines())
    assert list(verification.verify()) == []
    assert list(rebuild.differences()) == []


def test_a_line_is_sent_with_its_picture(kernel: Kernel, vendors: Vendors) -> None:
    photo = str(artifacts.upload(kernel.user_id, small("astronaut.png"))["id"])
    (plain,) = asked(kernel, 1)
    (workflow,) = asked(kernel, 1, images=[{"artifact": photo}])
    (intent,) = intents.intents(workflow, "ask")
    assert intent.request["input"][0]["content"][1]["artifact"] == photo
    assert "service_tier" not in intent.request
    sent()
    come(vendors)
    read, less = (
        kernel.step(each, "ask")["output"]["tokens"]["input"] for each in (workflow, plain)
    )
    assert read > less + 50
    assert max(each["bytes"] for each in lines()) > 100_000


@pytest.mark.parametrize(
    "more",
    [
        {"background": True},
        {"service_tier": "flex"},
        {"route": {"models": ["gpt-6-luna", "gpt-6-sol"]}},
        {"quality": {"min_words": 2}},
    ],
)
def test_a_line_has_no_level_of_service_and_no_background(more: Json) -> None:
    with pytest.raises(ValidationError):
        BatchInput(**ASKED | more)


def test_a_line_that_no_batch_can_hold_is_refused(
    step: Claim, vendors: Vendors, configure: Callable[..., Settings]
) -> None:
    configure(DATABASE_URL=os.environ["DATABASE_URL"], OPENAI_BATCH_BYTES="10000")
    with pytest.raises(Permanent) as caught:
        step("openai.batch", ASKED | {"input": "x" * 20_000}).run()
    assert caught.value.code == "line_too_large"
    assert lines() == []


def test_a_line_of_an_archived_workflow_is_paid_when_it_comes(
    kernel: Kernel, vendors: Vendors
) -> None:
    gone, _ = asked(kernel, 2)
    sent()
    kernel.cancel(gone)
    drive()
    move(gone)
    assert db.row("SELECT 1 FROM workflows WHERE id = %s", (gone,)) is None
    come(vendors)
    carry(30)
    (line, _) = lines()
    assert kernel.workflow(gone)["spent"] == line["cost"] > 0
    assert list(verification.verify()) == []


def test_a_line_of_an_erased_workflow_keeps_its_cost(kernel: Kernel, vendors: Vendors) -> None:
    gone, _ = asked(kernel, 2)
    sent()
    kernel.cancel(gone)
    drive()
    move(gone)
    db.row("UPDATE archived SET state = 'erased' WHERE workflow_id = %s RETURNING 1", (gone,))
    come(vendors)
    carry(30)
    (line, _) = lines()
    assert line["cost"] > 0
    assert line["settled_at"] is not None
