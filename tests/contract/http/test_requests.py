"""What only HTTP does: effects that the author declares, statuses, and answers of any kind."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.engine.attempt import checked_input
from app.engine.lookups import Doubt, look_up
from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from app.platform import Found, Json
from app.settings import Settings
from tasks.http import client
from tasks.http.actions import request
from tests.contract.cases import Claim
from tests.contract.http.cases import SECRET, by_reference, jobs, posting
from tests.contract.seam.servers import HEAD, answering, port_of
from tests.contract.vendors import Vendors

Configure = Callable[..., Settings]


def reading(**more: Any) -> Json:
    return {"method": "GET", "url": jobs(), "secrets": SECRET, **more}


def answer(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def test_a_job_is_created_once_and_polled_until_it_is_done(step: Claim, vendors: Vendors) -> None:
    vendors.change(http__job_seconds=0.3)
    prepared = step("http.request", posting(effect="idempotent", key={}))
    made = prepared.run()
    assert (made["status"], made["text"]) == (201, None)
    assert made["headers"]["location"] == f"/jobs/{made['json']['id']}"
    (sent,) = prepared.intents
    assert made["json"]["reference"] == prepared.call().reference
    assert made == prepared.run()
    ends = time.monotonic() + 20
    while (seen := client.read(reading(url=f"{jobs()}/{made['json']['id']}")))["json"][
        "state"
    ] != "done":
        assert time.monotonic() < ends, seen
        time.sleep(0.1)
    assert seen["json"]["result"] == {"words": 2}
    assert (vendors.count("jobs"), sent.resolution) == (1, "accepted")


def test_a_request_with_a_key_is_sent_again_under_it(step: Claim, vendors: Vendors) -> None:
    vendors.fault("http", "jobs.create", "lost_reply")
    prepared = step("http.request", posting(effect="idempotent", key={}))
    with pytest.raises(Unknown):
        prepared.run()
    assert prepared.run()["json"]["state"] == "running"
    assert vendors.count("jobs") == 1


def test_a_request_that_may_be_repeated_is_sent_again(step: Claim, vendors: Vendors) -> None:
    vendors.fault("http", "jobs.create", "lost_reply")
    prepared = step("http.request", posting(effect="repeatable"))
    with pytest.raises(Retryable):
        prepared.run()
    assert prepared.run()["status"] == 201
    assert vendors.count("jobs") == 2


def test_a_request_without_key_and_lookup_is_left_to_a_person(
    step: Claim, vendors: Vendors
) -> None:
    vendors.fault("http", "jobs.create", "lost_reply")
    prepared = step("http.request", posting(effect="person"))
    for _ in range(2):
        with pytest.raises(Unknown):
            prepared.run()
    with pytest.raises(Doubt) as caught:
        look_up(prepared.call(), is_pivot=False)
    assert (caught.value.attention, vendors.count("jobs")) == ("unknown_outcome", 1)


def test_a_lookup_proves_only_what_the_author_says(step: Claim, vendors: Vendors) -> None:
    lookup = by_reference()
    prepared = step("http.request", posting(effect="lookup", lookup={**lookup, "lag": 600.0}))
    vendors.fault("http", "jobs.create", "reset_before")
    with pytest.raises(Unknown):
        prepared.run()
    seen = [
        type(prepared.look_up(replaced(prepared.open_intent(), lookup | change))).__name__
        for change in ({"lag": 600.0}, {}, {"at": "orders"}, {"found": (404,)}, {"never": (200,)})
    ]
    assert seen == ["CannotTell", "Never", "CannotTell", "CannotTell", "Never"]
    vendors.fault("http", "jobs.list", "status", status=503)
    with pytest.raises(Retryable):
        prepared.look_up(replaced(prepared.open_intent(), lookup))


def replaced(intent: Any, lookup: Json) -> Any:
    """The intent with another lookup request, whose reference is filled in."""
    filled = {**lookup, "query": intent.request["lookup"]["query"]}
    return replace(intent, request={**intent.request, "lookup": filled})


@pytest.mark.parametrize(
    ("status", "kind", "code", "after"),
    [
        (404, Permanent, "status_404", None),
        (302, Permanent, "status_302", None),
        (403, Permanent, "status_403", None),
        (401, NotServed, "credential_refused", None),
        (429, NotServed, "rate_limited", 7.0),
        (503, Retryable, "platform_error", 7.0),
    ],
)
def test_a_status_says_what_to_do_and_the_answer_is_not_quoted(
    settings: Settings,
    vendors: Vendors,
    status: int,
    kind: type[Outcome],
    code: str,
    after: float | None,
) -> None:
    fault = {"status": status, "retry_after": 7, "message": "a private word"}
    vendors.fault("http", "jobs.list", "status", **fault)
    with pytest.raises(kind) as caught:
        client.read(reading())
    assert caught.value.code == code
    assert getattr(caught.value, "after", None) == after
    assert "127.0.0.1" in caught.value.message
    assert "private" not in f"{caught.value.message}{getattr(caught.value, 'detail', '')}"


@pytest.mark.parametrize("status", [200, 202, 303])
def test_a_status_that_nobody_expects_does_not_prove_that_nothing_was_done(
    step: Claim, vendors: Vendors, status: int
) -> None:
    vendors.fault("http", "jobs.create", "status", status=status)
    prepared = step("http.request", posting(effect="person", expect=[201]))
    with pytest.raises(Unknown, match="add it to `expect`") as caught:
        prepared.run()
    assert (caught.value.code, prepared.open_intent().resolution) == (f"status_{status}", None)


def test_what_was_done_under_another_status_is_found_by_the_lookup(
    step: Claim, vendors: Vendors
) -> None:
    prepared = step("http.request", posting(effect="lookup", lookup=by_reference(), expect=[202]))
    with pytest.raises(Unknown):
        prepared.run()
    assert isinstance(prepared.look_up(prepared.open_intent()), Found)
    assert vendors.count("jobs") == 1


def test_a_status_that_the_author_expects_is_an_answer(
    settings: Settings, vendors: Vendors
) -> None:
    seen = client.read(reading(url=f"{jobs()}/none", expect=[200, 404]))
    assert (seen["status"], seen["json"]["error"]) == (404, "there is no job none")
    with pytest.raises(Permanent):
        client.read(reading(expect=[404]))


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (answer(b'{"a": NaN}'), {"json": None, "text": '{"a": NaN}'}),
        (answer(b"null"), {"json": None, "text": None}),
        (answer(b""), {"json": None, "text": ""}),
        (answer(b"[" * 500 + b"]" * 500), {"json": None, "text": "[" * 500 + "]" * 500}),
        (
            answer(b"caf\xe9", HEAD.replace(b"application/json", b"text/plain; charset=latin-1")),
            {"json": None, "text": "café"},
        ),
        (answer(b"\xff", HEAD.replace(b"json", b"json; charset=nothing")), {"text": "\ufffd"}),
        (answer(b"a-1", HEAD.replace(b"json", b"json; charset=punycode")), {"text": "a-1"}),
    ],
    ids=["NaN", "null", "empty", "deep", "latin-1", "no text", "slow codec"],
)
def test_an_answer_of_any_kind_is_shown(configure: Configure, sent: bytes, shown: Json) -> None:
    with answering(sent) as (url, _):
        configure(OUTBOUND_ALLOWED=f"127.0.0.1:{port_of(url)}")
        seen = client.read({"method": "GET", "url": url})
    assert shown.items() <= seen.items()


def test_an_answer_is_bounded(configure: Configure) -> None:
    with answering(answer(b"x" * (client.MAX_BYTES + 1))) as (url, _):
        configure(OUTBOUND_ALLOWED=f"127.0.0.1:{port_of(url)}")
        with pytest.raises(Permanent) as caught:
            client.read({"method": "GET", "url": url})
    assert caught.value.code == "answer_too_large"


def test_an_inner_address_is_refused(configure: Configure) -> None:
    configure(OUTBOUND_ALLOWED="")
    for method in ("GET", "POST"):
        with pytest.raises(Permanent) as caught:
            client.read(reading(method=method))
        assert caught.value.code == "destination_refused"


URL = "https://api.example/x"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "ftp://x/"}, "must be an http:// or https:// address"),
        ({"url": "https://me:word@api.example/"}, "name a secret in `secrets`"),
        ({"url": "https://one.example\\@two.example/"}, "name a secret in `secrets`"),
        ({"url": "https://one.example\\.two.example/"}, "must be an http:// or https:// address"),
        ({"url": URL, "method": "POST"}, "a POST needs `effect`"),
        ({"url": URL, "method": "POST", "effect": "idempotent"}, "needs `key`"),
        ({"url": URL, "method": "POST", "effect": "lookup"}, "needs `lookup`"),
        ({"url": URL, "method": "POST", "effect": "person", "key": {}}, "need the effect"),
        ({"url": URL, "text": "x"}, "a GET has no body"),
        ({"url": URL, "method": "PUT", "effect": "repeatable", "text": "", "json": 1}, "not both"),
        ({"url": URL, "headers": {"Authorization": "Bearer x"}}, "would be stored"),
        ({"url": URL, "headers": {"Host": "inner"}}, "Host is set by Playalter"),
        ({"url": URL, "headers": {"X": "a\r\nY: b"}}, "must be printable ASCII"),
        ({"url": URL, "headers": {"X Y": "a"}}, "is no name of a header"),
        ({"url": URL, "headers": {"x": "a"}, "secrets": {"X": "s"}}, "not in both"),
    ],
)
def test_an_input_that_makes_no_sense_is_refused_with_its_reason(given: Json, words: str) -> None:
    with pytest.raises(Permanent) as caught:
        checked_input(request, given)
    assert words in caught.value.message
    assert json.dumps(given) not in caught.value.message


def test_an_address_may_have_an_at_sign_behind_the_host() -> None:
    for url in ("https://api.example?mail=a@b.example", "https://api.example#@", f"{URL}/a@b"):
        checked_input(request, {"url": url})
