"""What is sent, how it is signed, and what follows from each kind of answer, over real HTTP."""

import json
import socket
import time
from dataclasses import dataclass
from datetime import timedelta

import pytest
from standardwebhooks import WebhookVerificationError

from app import db
from app.errors import InvalidInput
from chains.webhooks import endpoints, messages, verdicts
from chains.webhooks.endpoints import Wanted
from ops.laptop.ports import free_port
from tests.forgetting import forget
from tests.integration.webhooks.conftest import Post, pass_time
from tests.integration.webhooks.receiver import Answer

TEST_KEYS = {"webhook-id", "webhook-timestamp", "webhook-signature"}


def test_a_message_is_signed_as_the_standard_says(post: Post) -> None:
    endpoint = post.endpoint("/signed")
    workflow = post.happen()[0]
    assert post.send() == 1
    (got,) = post.got("/signed")
    assert got.headers.keys() >= TEST_KEYS
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 5
    told = got.verified(post.secrets[endpoint])
    assert told["id"] == got.id == messages.shown_id(post.sendings(endpoint)[0]["message_id"])
    assert (told["type"], told["data"]["workflow_id"]) == ("workflow.started", str(workflow))
    assert told["data"]["link"] == f"http://127.0.0.1:8000/v1/workflows/{workflow}"
    assert len(got.body) < 1000
    with pytest.raises(WebhookVerificationError):
        got.verified("whsec_" + "A" * 44)
    assert post.statuses(endpoint) == ["delivered"]


def test_both_secrets_sign_until_the_former_one_ends(post: Post) -> None:
    endpoint = post.endpoint("/rotated")
    former = post.secrets[endpoint]
    present = endpoints.rotate(post.kernel.user_id, endpoint, former_hours=1)
    post.happen()
    post.send()
    for secret in (former, present):
        assert post.got("/rotated")[0].verified(secret)
    pass_time(timedelta(hours=1))
    post.happen()
    post.send()
    last = post.got("/rotated")[1]
    assert last.verified(present)
    with pytest.raises(WebhookVerificationError):
        last.verified(former)


@dataclass(frozen=True)
class Case:
    """An answer, and what follows: the sending's status, and the status or error on record.

    `wait` and `rest` are the seconds before the next attempt, and before anything is sent.
    """

    answer: Answer
    status: str
    seen: int | str
    wait: float | None = None
    rest: float | None = None


CASES = {
    "200": Case(Answer(200), "delivered", 200),
    "204": Case(Answer(204, body=b""), "delivered", 204),
    "301": Case(Answer(301, {"Location": "/elsewhere"}), "pending", 301, wait=5),
    "404": Case(Answer(404), "pending", 404, wait=5),
    "410": Case(Answer(410), "failed", 410),
    "429": Case(Answer(429, {"Retry-After": "90"}), "pending", 429, wait=90, rest=90),
    "429 for years": Case(
        Answer(429, {"Retry-After": "99999999"}), "pending", 429, wait=3600, rest=3600
    ),
    "500": Case(Answer(500), "pending", 500, wait=5),
    "502": Case(Answer(502), "pending", 502, wait=5, rest=5),
    "abort": Case(Answer(400, {"Webhook-Delivery": "abort-message"}), "failed", 400),
    "hang": Case(Answer(200, seconds=5), "pending", "no complete answer", wait=5),
    "reset": Case(Answer(is_reset=True), "pending", "no complete answer", wait=5),
    "oversize": Case(Answer(200, body=b"x" * 5_000_000), "delivered", 200),
}


@pytest.mark.parametrize("name", CASES)
def test_an_answer_has_its_consequence(post: Post, name: str) -> None:
    case = CASES[name]
    endpoint = post.endpoint("/case", case.answer)
    post.happen()
    assert post.send() == 1
    (sending,) = post.sendings(endpoint)
    (attempt,) = post.attempts(endpoint)
    assert sending["status"] == case.status
    assert len(attempt["reply"] or "") <= 1024
    if isinstance(case.seen, int):
        assert (attempt["status"], attempt["error"]) == (case.seen, None)
    else:
        assert attempt["status"] is None
        assert case.seen in attempt["error"]
    if case.wait is not None:
        assert sending["due_in"].total_seconds() == pytest.approx(case.wait, rel=0.11, abs=0.5)
    row = post.row(endpoint)
    rest = row["rest_until"] and row["rest_until"] - row["served_at"]
    assert (rest is None) == (case.rest is None)
    if rest is not None:
        assert rest.total_seconds() == pytest.approx(case.rest, abs=2)
    assert row["disabled_reason"] == ("gone" if name == "410" else None)
    assert not post.got("/elsewhere")


def test_a_message_keeps_its_id_through_all_attempts_and_then_fails(post: Post) -> None:
    endpoint = post.endpoint("/never", Answer(500))
    other = post.endpoint("/other", event_types=("webhook.message_failed",))
    post.happen()
    for wait in (0.0, *verdicts.SCHEDULE):
        pass_time(timedelta(seconds=wait * 1.11 + 700))
        assert post.send() == 1
    assert post.statuses(endpoint) == ["failed"]
    got = post.got("/never")
    assert (len(got), len({each.id for each in got})) == (8, 1)
    assert {each.headers["webhook-id"] for each in got} == {got[0].id}
    assert [each["attempt"] for each in post.attempts(endpoint)] == [*range(1, 9)]
    # The other endpoint is told of it.
    post.send()
    (told,) = post.got("/other")
    data = json.loads(told.body)["data"]
    assert (data["endpoint_id"], data["message_id"]) == (str(endpoint), got[0].id)
    assert post.statuses(other) == ["delivered"]


def test_the_reply_is_kept_without_secret_and_card_number(post: Post) -> None:
    endpoint = post.endpoint("/echo")
    secret = post.secrets[endpoint]
    post.receiver.answers["/echo"] = Answer(
        400, body=f"no: {secret}\x00 4242424242424242 {'y' * 5000}".encode()
    )
    post.happen()
    post.send()
    reply = post.attempts(endpoint)[0]["reply"]
    assert len(reply) == 1024
    assert reply.startswith("no: [secret]\ufffd [card number ending in 4242] yyyy")


REFUSED = {
    "http://example.com/": "must begin with https://",
    "https://example.com:8080/": "uses port 8080",
    "https://10.0.0.1/": "no public address",
    "https://[::ffff:127.0.0.1]/": "no public address",
    "https://[64:ff9b::a9fe:a9fe]/": "no public address",
    "https://169.254.169.254/latest/": "no public address",
    "https://localhost/": "no public address",
    "https://no-such-name.invalid/": "cannot be resolved",
    "https://a:b@example.com/": "without user and password",
    "ftp://example.com/": "https://",
    "https://example.com/#a": "fragment",
    "hooks": "no address of a host",
}


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_is_refused_with_its_reason(post: Post, url: str) -> None:
    with pytest.raises(InvalidInput, match=REFUSED[url]) as caught:
        endpoints.create(post.kernel.user_id, Wanted(url))
    assert caught.value.field == "/url"


def test_another_port_of_loopback_is_refused_at_each_attempt_too(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = post.endpoint("/moved")
    named = f"http://localhost:{post.receiver.port}/named"
    monkeypatch.setenv(
        "OUTBOUND_ALLOWED", f"127.0.0.1:{post.receiver.port} localhost:{post.receiver.port}"
    )
    forget()
    by_name, _ = endpoints.create(post.kernel.user_id, Wanted(named))
    # The name resolves to a private address all the time, and is not allowed any more.
    for allowed in (f"127.0.0.1:{free_port()}", ""):
        monkeypatch.setenv("OUTBOUND_ALLOWED", allowed)
        forget()
        pass_time(timedelta(minutes=10))
        post.happen()
        assert post.send() >= 2
    for each in (endpoint, by_name):
        assert {row["status"] for row in post.attempts(each)} == {None}
        assert {row["error"] for row in post.attempts(each)} == {
            "nothing is sent: the address must begin with https://"
        }
    assert post.receiver.got == []


def test_a_name_that_leads_to_a_private_address_later_gets_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    # https on an allowed port passes what can be seen of the address; the guard resolves the name.
    endpoint = post.endpoint("/tls")
    port = post.receiver.port
    monkeypatch.setenv("OUTBOUND_ALLOWED", f"localhost:{port}")
    monkeypatch.setenv("WEBHOOK_PORTS", f"443,{port}")
    forget()
    changes = {"url": f"https://localhost:{port}/tls"}
    endpoints.change(post.kernel.user_id, endpoint, changes)
    monkeypatch.setenv("OUTBOUND_ALLOWED", "")
    forget()
    post.happen()
    post.send()
    (attempt,) = post.attempts(endpoint)
    assert "nothing is sent to localhost: it is no public address" in attempt["error"]
    assert post.receiver.got == []


def test_a_name_that_is_not_known_any_more_is_tried_again(post: Post) -> None:
    endpoint = post.endpoint("/unknown")
    url = "https://no-such-name.invalid/"
    db.row("UPDATE webhook_endpoints SET url = %s WHERE id = %s", (url, endpoint))
    post.happen()
    post.send()
    (attempt,) = post.attempts(endpoint)
    assert (attempt["status"], "could not be reached" in attempt["error"]) == (None, True)
    assert post.statuses(endpoint) == ["pending"]


def test_an_endpoint_that_is_not_there_is_tried_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("OUTBOUND_ALLOWED", f"127.0.0.1:{port}")
    forget()
    endpoint, _ = endpoints.create(
        post.kernel.user_id, Wanted(f"http://127.0.0.1:{port}/nothing-there")
    )
    post.happen()
    post.send()
    assert "could not be reached" in post.attempts(endpoint)[0]["error"]
    assert post.statuses(endpoint) == ["pending"]


def test_a_server_that_sends_its_answer_byte_by_byte_takes_no_longer(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setenv("OUTBOUND_ALLOWED", f"127.0.0.1:{port}")
        forget()
        endpoint, _ = endpoints.create(post.kernel.user_id, Wanted(f"http://127.0.0.1:{port}/"))
        post.happen()
        began = time.monotonic()
        assert post.sender.send_due() == 1
        made, _ = listening.accept()
        with made:
            made.sendall(b"HTTP/1.1 200 OK\r\n")
            while post.sender.is_sending and time.monotonic() - began < 5:
                made.sendall(b"X")
                time.sleep(0.05)
        assert post.sender.wait(1)
    (attempt,) = post.attempts(endpoint)
    assert attempt["milliseconds"] < 2500
    assert post.statuses(endpoint) == ["pending"]
