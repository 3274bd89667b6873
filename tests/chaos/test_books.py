"""The counters find what they are there for: a count that cannot rise proves nothing."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.chaos.books import Ended, read
from tests.chaos.record import Event, faults_of
from tests.chaos.report import NAMES, RECOVERY, Report, Spread
from tests.chaos.strangers import unexplained

Json = dict[str, Any]

FLOW = "019ab000-0000-7000-8000-000000000001"
OVER = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAILED = {FLOW: Ended("compensated", OVER)}


def entry(vendor: str, effect: str, made: str, at: float = 0.0, **details: Any) -> Json:
    """A line of the sandbox's journal."""
    return {"vendor": vendor, "effect": effect, "object_id": made, "at": at, "details": details}


def paid(effect: str, payment: str = "pi_1") -> Json:
    """A line of Stripe's."""
    return entry("stripe", effect, payment, metadata={"workflow": FLOW}, payment_intent=payment)


def page(effect: str, made: str = "dpl_1") -> Json:
    """A line of Vercel's."""
    return entry("vercel", effect, made, meta={"reference": f"{FLOW}/deploy"})


def file(effect: str, made: str = "f1") -> Json:
    """A line about an uploaded file."""
    return entry("replicate", effect, made, metadata={"reference": f"{FLOW}/swap[0].render"})


def predicted(effect: str, made: str = "p1", at: float = 0.0, file_id: str = "f1") -> Json:
    """A line about a prediction from a file."""
    given = {"target_image": f"http://vendor/v1/files/{file_id}/download"}
    return entry("replicate", effect, made, at, input=given)


SOUND = [
    paid("authorizations"), file("files"), predicted("predictions"),
    predicted("predictions_succeeded"), paid("captures"), page("deployments"),
]  # fmt: skip
WANTED = {"authorizations": 1, "captures": 1, "predictions": 1, "deployments": 1}


def test_money_that_moved_and_is_not_booked_once_is_found() -> None:
    books = read([*SOUND, paid("refunds")])
    booked = Counter({("authorization", "pi_1"): 1, ("capture", "pi_1"): 1, ("refund", "pi_1"): 1})
    assert books.misbooked(FAILED, booked) == []
    for place in booked:
        for wrong in (0, 2):
            (told,) = books.misbooked(FAILED, Counter({**booked, place: wrong}))
            assert f"the {place[0]} of pi_1 is booked {wrong} of 1 times" in told
    running = {FLOW: Ended("running")}
    assert books.misbooked(running, Counter()) == [], "its calls may be looked up yet"


def refunded(by: str, taker: str) -> Json:
    marks = {"workflow": by, "captured_by": f"{taker}/capture"}
    return entry("stripe", "refunds", "re_1", metadata=marks, payment_intent="pi_1")


def ban(seconds: float) -> Json:
    ends = (OVER + timedelta(seconds=seconds)).isoformat()
    return entry("agora", "kicking_rules", "1", OVER.timestamp(), cname="channel", ts=ends)


def test_refunds_and_bans_are_explained_by_an_undone_workflow_of_their_own() -> None:
    opened, went_well = {"channel": FLOW}, {FLOW: Ended("succeeded", OVER)}
    assert unexplained([refunded(FLOW, FLOW), ban(7200)], FAILED, opened) == []
    assert unexplained([ban(60)], went_well, opened) == []
    for journal, ended in [
        ([refunded("fork", FLOW), ban(7200)], FAILED | {"fork": Ended("compensated", OVER)}),
        ([refunded(FLOW, FLOW)], went_well),
        ([ban(7200)], went_well),
        ([ban(60)], FAILED),
    ]:
        assert len(unexplained(journal, ended, opened)) == 1


def test_a_sound_campaign_counts_nothing() -> None:
    books = read(SOUND)
    assert books.doubled() == []
    assert books.missing(FLOW, WANTED) == []
    assert books.not_undone({FLOW: Ended("succeeded", OVER)}) == []


@pytest.mark.parametrize(
    "second",
    [
        paid("authorizations", "pi_2"),
        paid("captures"),
        page("deployments", "dpl_2"),
        predicted("predictions", "p2"),
        predicted("predictions", "p2", file_id="unknown"),
    ],
)
def test_a_second_paid_effect_is_counted(second: Json) -> None:
    assert len(read([*SOUND, second]).doubled()) == 1


@pytest.mark.parametrize(
    "more",
    [
        [paid("authorizations", "pi_2"), paid("cancellations", "pi_2")],
        [page("deployments", "dpl_2"), page("removals", "dpl_2")],
        [predicted("predictions", "p2"), predicted("predictions_canceled", "p2")],
    ],
)
def test_a_second_effect_that_was_taken_back_is_not_counted(more: list[Json]) -> None:
    assert read([*SOUND, *more]).doubled() == []


@pytest.mark.parametrize(
    "more",
    [
        [page("deployments", "dpl_2"), page("removals", "dpl_2")],
        [predicted("predictions", "p2"), predicted("predictions_canceled", "p2")],
    ],
)
def test_a_doubled_effect_counts_as_found_once_it_is_taken_back(more: list[Json]) -> None:
    assert read([*SOUND, more[0]]).found() == []
    found = read([*SOUND, *more])
    assert (len(found.found()), found.doubled()) == (1, [])


def test_a_second_prediction_that_ended_before_it_was_cancelled_is_doubled() -> None:
    more = [predicted("predictions", "p2"), predicted("predictions_succeeded", "p2")]
    more.append(predicted("predictions_canceled", "p2"))
    read_in = read([*SOUND, *more])
    assert (len(read_in.doubled()), read_in.found()) == (1, [])


def test_a_second_upload_for_the_same_step_hides_no_second_prediction() -> None:
    more = [file("files", "f2"), predicted("predictions", "p2", file_id="f2")]
    assert len(read([*SOUND, *more]).doubled()) == 1


UNDOING = [paid("refunds"), page("removals"), file("files_deleted")]


def test_a_failed_campaign_that_was_undone_counts_nothing() -> None:
    assert read([*SOUND, *UNDOING]).not_undone(FAILED) == []


@pytest.mark.parametrize("left_out", range(len(UNDOING)))
def test_whatever_was_left_undone_is_counted(left_out: int) -> None:
    undoing = [each for number, each in enumerate(UNDOING) if number != left_out]
    assert len(read([*SOUND, *undoing]).not_undone(FAILED)) == 1


def test_money_still_held_after_a_failure_is_counted() -> None:
    assert len(read([paid("authorizations")]).not_undone(FAILED)) == 1
    assert read([paid("authorizations"), paid("cancellations")]).not_undone(FAILED) == []


@pytest.mark.parametrize("ended", [None, OVER.timestamp() + 60])
def test_a_prediction_that_outlived_its_workflow_is_counted(ended: float | None) -> None:
    lines = [file("files"), file("files_deleted"), predicted("predictions")]
    lines += [] if ended is None else [predicted("predictions_succeeded", at=ended)]
    assert len(read(lines).not_undone(FAILED)) == 1
    lines.insert(3, predicted("predictions_canceled"))
    assert read(lines).not_undone(FAILED) == []


@pytest.mark.parametrize("lacking", range(1, len(SOUND)))
def test_a_success_without_an_effect_is_counted(lacking: int) -> None:
    lines = [each for number, each in enumerate(SOUND) if number != lacking]
    missing = read(lines).missing(FLOW, WANTED)
    is_paid = SOUND[lacking]["effect"] != "predictions"
    assert (len(missing) >= 1) or not is_paid


def chain(count: int) -> list[Event]:
    """A chain that verifies."""
    before, rows = hashlib.sha256(UUID(FLOW).bytes).digest(), []
    for seq in range(1, count + 1):
        body = json.dumps({"seq": seq, "type": "StepSucceeded", "step": "é"}, ensure_ascii=False)
        before = hashlib.sha256(before + body.encode()).digest()
        rows.append((FLOW, seq, body, before))
    return rows


def test_a_chain_as_it_was_written_verifies() -> None:
    assert faults_of(chain(4)) == []


def test_a_changed_a_missing_and_two_swapped_events_are_found() -> None:
    rows = chain(4)
    changed = [*rows[:2], (FLOW, 3, rows[2][2].replace("Succeeded", "Failed"), rows[2][3]), rows[3]]
    swapped = [rows[0], (FLOW, 2, *rows[2][2:]), (FLOW, 3, *rows[1][2:]), rows[3]]
    for forged in (changed, rows[1:], [*rows[:1], *rows[2:]], swapped):
        assert len(faults_of(forged)) == 1


def test_a_long_run_whose_faults_hit_too_little_is_no_proof() -> None:
    for minutes, is_good in ((10.0, False), (3.0, True)):
        checked: dict[str, list[str] | None] = {name: [] for name in NAMES}
        report = Report(1, 1, minutes, findings=checked, hits={"web_killed": 19})
        report.judge_hits()
        assert report.is_good is is_good


@pytest.mark.parametrize(
    ("minutes", "p99", "is_good"), [(10.0, 40.0, True), (10.0, 40.1, False), (3.0, 60.0, True)]
)
def test_a_long_run_whose_steps_went_on_too_late_is_not_good(
    minutes: float, p99: float, is_good: bool
) -> None:
    checked: dict[str, list[str] | None] = {name: [] for name in NAMES}
    late = {RECOVERY: Spread(100, 1.0, p99, 60.0)}
    report = Report(1, 1, minutes, findings=checked, recovery=late)
    report.judge_recovery(30.0)
    assert report.is_good is is_good


def test_a_run_that_checked_nothing_is_not_good() -> None:
    assert not Report(1, 1, 1.0).is_good


def test_one_finding_makes_a_run_not_good_and_what_was_not_checked_is_said() -> None:
    report = Report(1, 1, 1.0, findings={"lost": [], "doubled": ["x"], "projections": None})
    assert not report.is_good
    assert "not checked" in report.as_text()
    assert json.loads(report.as_json())["counts"]["doubled"] == 1
