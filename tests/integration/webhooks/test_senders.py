"""Many messages, several senders, and endpoints that are away: no message is lost or delayed."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, NotFound
from chains.repair import housekeeping
from chains.webhooks import endpoints
from chains.webhooks.attempt import Attempt, Sending, deliver
from chains.webhooks.sender import Sender
from chains.webhooks.verdicts import Verdict
from tests.integration.webhooks.conftest import LEASE_SECONDS, Post, pass_time
from tests.integration.webhooks.receiver import Answer

CHECKOUT = Path(__file__).resolve().parents[3]


def until_sent(post: Post, seconds: float = 15) -> None:
    """Let the sender send until nothing is due any more."""
    ends = time.monotonic() + seconds
    was_idle = False
    # A claim passes over an endpoint whose attempt is just being recorded.
    while post.sender.send_due() or not was_idle:
        assert time.monotonic() < ends
        post.sender.wait(0.02)
        was_idle = not post.sender.is_sending


def until_received(post: Post, sender: Sender, path: str, count: int) -> None:
    """Let a sender send until a path has received so many, from whomever."""
    ends = time.monotonic() + 15
    while len(post.got(path)) < count:
        assert time.monotonic() < ends
        sender.send_due()
        sender.wait(0.02)


def test_a_dead_endpoint_holds_up_no_other_and_uses_up_no_attempts(post: Post) -> None:
    dead = post.endpoint("/dead", Answer(500))
    alive = post.endpoint("/alive")
    post.tell(40)
    until_sent(post)
    assert len(post.got("/alive")) == 40
    assert len({each.id for each in post.got("/alive")}) == 40
    assert len(post.got("/dead")) == 3
    assert post.row(dead)["rest_until"] is not None
    # Each further try at the dead one is a new message, so none comes near its last attempt.
    for _ in range(4):
        pass_time(timedelta(minutes=12))
        assert post.send(3) == 1
    assert max(row["attempts"] for row in post.sendings(dead)) == 1
    assert set(post.statuses(dead)) == {"pending"}
    # When it answers again, everything goes out, what has failed before too.
    post.receiver.answers["/dead"] = Answer()
    pass_time(timedelta(minutes=12))
    until_sent(post)
    assert set(post.statuses(dead)) == {"delivered"}
    assert len({each.id for each in post.got("/dead")}) == 40
    assert post.row(dead)["failures"] == 0
    assert post.statuses(alive) == ["delivered"] * 40


def test_failures_at_the_same_time_make_one_short_rest(post: Post) -> None:
    endpoint = post.endpoint("/blip")
    post.tell(1)
    post.send()
    post.receiver.answers["/blip"] = Answer(500, seconds=0.1)
    post.tell(4)
    assert post.send() == 4
    row = post.row(endpoint)
    assert (row["failures"], row["rests"]) == (4, 1)
    assert (row["rest_until"] - row["failing_since"]).total_seconds() < 7
    for rests, least in ((2, 25), (3, 100), (4, 250), (5, 500), (6, 500)):
        pass_time(timedelta(hours=3))
        assert post.send() == 1
        row = post.row(endpoint)
        rest = db.row("SELECT %s - playalter_now() AS left", (row["rest_until"],))
        assert rest is not None
        assert (row["rests"], rest["left"].total_seconds() > least) == (rests, True)


def test_a_success_that_was_in_progress_does_not_end_a_pause_that_was_asked_for(
    post: Post,
) -> None:
    endpoint = post.endpoint("/busy")
    post.tell(1)
    post.send()
    post.tell(3)
    rows = db.rows("SELECT * FROM claim_webhook_sendings_v1(3, 3, 60)", ())
    busy, served, third = (Sending(**row) for row in rows)
    endpoints.record(busy, Attempt(Verdict("retry", 90, 90), 429, None, 1))
    endpoints.record(served, Attempt(Verdict("delivered"), 200, None, 1))
    post.tell(1)
    assert post.send() == 0
    assert post.row(endpoint)["rest_until"] is not None
    endpoints.record(third, Attempt(Verdict("delivered"), 200, None, 1))
    pass_time(timedelta(seconds=91))
    until_sent(post)
    assert set(post.statuses(endpoint)) == {"delivered"}


def test_what_failed_while_an_endpoint_was_away_is_due_when_it_is_back(post: Post) -> None:
    endpoint = post.endpoint("/back", Answer(500))
    post.tell(2)
    for _ in range(3):
        post.send(2)
        pass_time(timedelta(seconds=6))
    # The third attempts come five minutes after the second.
    assert [row["attempts"] for row in post.sendings(endpoint)] == [2, 2]
    assert min(row["due_in"].total_seconds() for row in post.sendings(endpoint)) > 200
    post.receiver.answers["/back"] = Answer()
    post.tell(1)
    pass_time(timedelta(seconds=60))
    until_sent(post)
    assert post.statuses(endpoint) == ["delivered"] * 3


def test_new_messages_go_before_those_that_are_sent_again(post: Post) -> None:
    endpoint = post.endpoint("/order", Answer(500))
    post.tell(1)
    post.send()
    post.receiver.answers["/order"] = Answer()
    pass_time(timedelta(seconds=30))
    post.tell(2)
    first, *news = [row["message_id"] for row in post.sendings(endpoint)]
    until_sent(post)
    ids = [UUID(each.id.removeprefix("msg_")) for each in post.got("/order")]
    assert ids[:2] == [first, news[0]]
    assert sorted(ids[2:]) == sorted([news[1], first])  # these at the same time


def test_two_senders_send_each_message_once_and_four_at_a_time(post: Post) -> None:
    endpoint = post.endpoint("/shared", Answer(seconds=0.03))
    post.tell(1)
    post.send()  # it has answered, so it may get several at the same time
    post.tell(40)
    other = Sender()
    threads = [
        threading.Thread(target=until_received, args=(post, sender, "/shared", 41))
        for sender in (post.sender, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    other.close()
    assert post.sender.wait(5)
    got = post.got("/shared")
    assert (len(got), len({each.id for each in got})) == (41, 41)
    assert 2 <= post.receiver.most_at_once["/shared"] <= 4
    assert set(post.statuses(endpoint)) == {"delivered"}


def test_an_endpoint_that_has_not_answered_yet_gets_one_at_a_time(post: Post) -> None:
    post.endpoint("/unknown", Answer(seconds=0.1))
    post.tell(10)
    assert post.sender.send_due() == 1
    assert post.sender.send_due() == 0
    assert post.sender.wait(5)


def claimed(post: Post) -> Sending:
    """What a sender that does nothing more has claimed."""
    (row,) = db.rows("SELECT * FROM claim_webhook_sendings_v1(1, 1, 1)", ())
    return Sending(**row)


def test_a_sender_that_comes_back_too_late_changes_nothing(post: Post) -> None:
    endpoint = post.endpoint("/late")
    post.tell(1)
    late = claimed(post)
    assert post.send() == 0
    assert deliver(late, time.monotonic() - 60) is None  # nothing is sent after the lease
    time.sleep(1.05)
    assert post.send() == 1
    attempt = deliver(late, time.monotonic())
    assert attempt is not None
    assert endpoints.record(late, attempt) == "fenced"
    # It was sent twice, with the same id, and one attempt counts.
    assert len({each.id for each in post.got("/late")}) == 1
    assert (post.statuses(endpoint), len(post.attempts(endpoint))) == (["delivered"], 1)


def test_a_killed_sender_loses_nothing(post: Post, tmp_path: Path) -> None:
    endpoint = post.endpoint("/killed", Answer(seconds=0.3))
    post.tell(3)
    with (tmp_path / "hooks.log").open("wb") as log:
        command = [sys.executable, "-m", "ops.cli", "hooks"]
        process = subprocess.Popen(command, cwd=CHECKOUT, env=os.environ, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + 30
        while not post.got("/killed"):
            assert time.monotonic() < ends, (tmp_path / "hooks.log").read_text()
            assert process.poll() is None, (tmp_path / "hooks.log").read_text()
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    assert "sending" in post.statuses(endpoint)
    time.sleep(LEASE_SECONDS + 0.05)
    until_sent(post)
    assert post.statuses(endpoint) == ["delivered"] * 3
    got = post.got("/killed")
    assert len({each.id for each in got}) == 3
    assert len(got) <= 4  # one message may come twice


def test_after_five_days_of_failures_an_endpoint_is_disabled(post: Post) -> None:
    endpoint = post.endpoint("/gone-for-days", Answer(500))
    post.endpoint("/told", event_types=("webhook.disabled",))
    post.tell(20)
    for hours in (0, 0, 1, 24, 48, 40, 8):
        pass_time(timedelta(hours=hours))
        assert post.row(endpoint)["disabled_at"] is None
        post.send()
    row = post.row(endpoint)
    assert (row["disabled_reason"], row["failures"]) == ("failing", 7)
    assert set(post.statuses(endpoint)) == {"missed"}
    post.send()
    assert [each.type for each in post.got("/told")] == ["webhook.disabled"]
    # What happens meanwhile is missed too, and nothing is sent.
    post.tell(2)
    post.receiver.answers["/gone-for-days"] = Answer()
    post.receiver.got.clear()
    until_sent(post)
    assert post.got("/gone-for-days") == []
    with pytest.raises(Conflict, match="enable it first"):
        endpoints.replay(post.kernel.user_id, endpoint)
    assert endpoints.enable(post.kernel.user_id, endpoint)
    until_sent(post)
    assert post.got("/gone-for-days") == []
    assert endpoints.replay(post.kernel.user_id, endpoint).count == 22
    until_sent(post)
    assert set(post.statuses(endpoint)) == {"delivered"}
    assert len({each.id for each in post.got("/gone-for-days")}) == 22


def test_one_success_in_five_days_keeps_an_endpoint(post: Post) -> None:
    endpoint = post.endpoint("/now-and-then", Answer(500))
    post.tell(20)
    for days in range(8):
        post.receiver.answers["/now-and-then"] = Answer(200 if days == 4 else 500)
        post.send()
        pass_time(timedelta(days=1))
    assert post.row(endpoint)["disabled_at"] is None


def test_a_410_disables_an_endpoint_at_once(post: Post) -> None:
    endpoint = post.endpoint("/gone", Answer(410))
    post.endpoint("/other", event_types=("webhook.disabled",))
    post.tell(3)
    post.send()
    assert post.row(endpoint)["disabled_reason"] == "gone"
    assert post.statuses(endpoint) == ["failed", "missed", "missed"]
    post.send()
    assert [each.type for each in post.got("/other")] == ["webhook.disabled"]


def test_a_ping_is_sent_to_a_disabled_endpoint_and_changes_nothing(post: Post) -> None:
    endpoint = post.endpoint("/pinged", Answer(500))
    endpoints.disable(post.kernel.user_id, endpoint)
    post.tell(1)
    endpoints.ping(post.kernel.user_id, endpoint)
    assert post.send(2) == 1
    (got,) = post.got("/pinged")
    assert got.verified(post.secrets[endpoint])["type"] == "webhook.ping"
    assert post.statuses(endpoint) == ["missed", "failed"]
    row = post.row(endpoint)
    assert (row["failures"], row["disabled_reason"]) == (0, "asked")


def test_a_message_is_replayed_alone_or_by_its_time(post: Post) -> None:
    user = post.kernel.user_id
    endpoint = post.endpoint("/replayed")
    post.tell(3)
    until_sent(post)
    ids = [row["message_id"] for row in post.sendings(endpoint)]
    endpoints.replay_one(user, endpoint, ids[1])
    with pytest.raises(Conflict, match="waits to be sent already"):
        endpoints.replay_one(user, endpoint, ids[1])
    until_sent(post)
    assert [each.id for each in post.got("/replayed")][3:] == [f"msg_{ids[1].hex}"]
    assert not endpoints.replay(user, endpoint).count  # nothing has failed
    since = post.sendings(endpoint)[1]["created_at"]
    assert endpoints.replay(user, endpoint, since=since, with_delivered=True).count == 2
    early = datetime(2020, 1, 1, tzinfo=UTC)
    assert endpoints.replay(user, endpoint, until=early, with_delivered=True).count == 0
    other = post.endpoint("/never-told")
    for unknown in (other, endpoint):
        with pytest.raises(NotFound, match="no such message"):
            endpoints.replay_one(user, unknown, unknown)


def test_what_is_older_than_thirty_days_is_deleted(post: Post) -> None:
    endpoint = post.endpoint("/old")
    post.tell(3)
    until_sent(post)
    pass_time(timedelta(days=20))
    post.tell(1)
    assert housekeeping.forget_webhooks() == {"deleted": 0}
    pass_time(timedelta(days=11))
    assert housekeeping.forget_webhooks() == {"deleted": 9}
    assert post.statuses(endpoint) == ["pending"]
    until_sent(post)
    assert len(post.attempts(endpoint)) == 1
