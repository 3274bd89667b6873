"""The search for secrets and card numbers finds each that is planted, and names its place."""

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from flask.testing import FlaskClient

from app import db
from app.identity import keys
from app.settings import Settings, current
from chains import definitions
from chains.catalogue import versions
from tests import conftest, leaks
from tests.canaries import CARDS, WATCHED, Canaries, Overheard
from tests.contract.cases import Claim
from tests.integration.conftest import Kernel
from web import create_app

SECRET = "sk_test_a-planted/secret"


@pytest.fixture
def planted() -> Canaries:
    """A watch of its own for what these tests plant. The other watch must not see it."""
    made = Canaries()
    made.watch("STRIPE_API_KEY", SECRET)
    return made


@pytest.mark.parametrize(
    "written",
    [
        f"Bearer {SECRET}",
        "sk_test_a-planted%2Fsecret",
        SECRET.encode().hex(),
        *(base64.b64encode(b"x" * n + SECRET.encode() + b"yz").decode() for n in range(4)),
    ],
)
def test_a_secret_is_found_in_each_way_in_which_it_is_written(
    planted: Canaries, written: str
) -> None:
    planted.search("a log", f"some text, {written}, more text")
    planted.search("another log", f"some text, {written.swapcase()}, more text")
    assert planted.taken() == ["STRIPE_API_KEY stands in a log"]
    assert planted.taken() == []


def test_a_secret_in_a_row_is_found_through_what_a_user_may_write(
    planted: Canaries, step: Claim, configure: Callable[..., Settings]
) -> None:
    made = step("openai.caption", {"brief": "x"})
    address = current().database_url
    leaks.in_database(planted, address)
    assert planted.taken() == []
    planted.watch("a word", "Heroes-of-space")
    db.row(
        "UPDATE steps SET input = %s WHERE workflow_id = %s",
        (f'{{"brief": "Heroes-of-space {SECRET}"}}', made.claim.workflow_id),
    )
    leaks.in_database(planted, address)
    assert planted.taken() == [
        f"{name} stands in the table steps" for name in ("STRIPE_API_KEY", "a word")
    ]


def test_a_secret_in_valkey_is_found_in_each_kind_of_value(
    planted: Canaries, valkey_url: str
) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.set("a", SECRET)
        client.rpush("b", base64.b64encode(f'{{"key": "{SECRET}"}}'.encode()))
        client.hset("c", "field", SECRET)
        client.zadd("d", {SECRET: 1.0})
        client.sadd("e", SECRET)
        client.xadd("f", {"field": SECRET})
        client.set("g", "nothing")
    leaks.in_valkey(planted, valkey_url)
    places = [f"STRIPE_API_KEY stands in Valkey, key {key}" for key in "abcdef"]
    assert sorted(planted.taken()) == places


def test_a_secret_on_a_command_line_is_found(planted: Canaries) -> None:
    wait = "import sys; sys.stdin.read()"
    command = [sys.executable, "-c", wait, "--key", SECRET]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        leaks.in_processes(planted)
        process.communicate()
    assert planted.taken() == [f"STRIPE_API_KEY stands in a command line of {sys.executable}"]
    leaks.in_processes(planted)
    assert planted.taken() == []


def test_a_card_number_in_a_file_is_found(planted: Canaries, tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text(f"declined: {CARDS[1]}")
    (tmp_path / "other.log").write_text("declined: 4242")
    leaks.in_files(planted, tmp_path)
    assert planted.taken() == [f"a card number stands in the file {tmp_path / 'web.log'}"]


def test_a_test_that_writes_a_secret_fails_and_says_where() -> None:
    sections = [("Captured log call", f"ERROR declined: {CARDS[0]}")]
    report = pytest.TestReport("a", ("a", 1, "a"), {}, "passed", None, "teardown", sections)
    call = pytest.CallInfo.from_call(lambda: None, "teardown")
    hook = conftest.pytest_runtest_makereport(None, call)  # type: ignore[arg-type] # not read
    next(hook)
    with pytest.raises(StopIteration) as ended:
        hook.send(report)
    assert ended.value.value.outcome == "failed"
    place = "what the test has written (Captured log call)"
    assert ended.value.value.longrepr == f"a card number stands in {place}"


def test_an_answer_with_a_secret_is_found_although_it_comes_in_pieces() -> None:
    pieces = [b"the key is ", CARDS[0][:7].encode(), CARDS[0][7:].encode()]
    answer = Overheard(lambda environ, start: pieces)
    told = answer({"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/x"}, lambda *given: None)
    assert list(told) == pieces
    assert WATCHED.taken() == ["a card number stands in an answer to GET /v1/x"]


@pytest.fixture
def web(kernel: Kernel) -> FlaskClient:
    """The web application, whose answers are searched."""
    (shipped,) = [each for each in definitions.ALL if each["name"] == "noop_chain"]
    versions.register(shipped, activates=True)
    application = create_app(current())
    application.wsgi_app = Overheard(application.wsgi_app)  # type: ignore[assignment,method-assign]
    client: FlaskClient = application.test_client()
    return client


CARD = CARDS[1]
START = {"type": "noop_chain", "input": {}}
EVENT = {"source": "shop", "id": "1", "type": "paid", "data": {}}
SCHEDULE = {"name": "s", "definition": "noop_chain", "input": {}, "cron": "0 0 * * *"}
Json = dict[str, Any]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("workflows", START | {"input": {"note": CARD}}, {}),
        ("workflows", START | {"input": {CARD: 1}}, {}),
        ("workflows", START | {"input": {"card": {"number": CARDS[0]}}}, {}),
        ("workflows", START | {"input": {"pan": float(CARDS[0])}}, {}),
        ("workflows", START | {"type": CARD}, {}),
        ("workflows", START | {CARD: 1}, {}),
        ("workflows", START, {"Idempotency-Key": CARD}),
        ("workflows", START, {"X-Request-ID": CARD, "User-Agent": CARD}),
        (f"workflows/{CARD}/cancel", {}, {}),
        ("events", EVENT | {"data": {"card": CARDS[0]}}, {}),
        ("events", EVENT | {"source": CARD}, {}),
        ("events", EVENT | {"id": CARD}, {}),
        ("events", EVENT | {"subject": CARD}, {}),
        ("events", {"events": [EVENT | {"type": CARD}, EVENT | {"id": CARD}]}, {}),
        ("events", {}, {f"ce-{name}": CARD for name in ("id", "type", "source", "specversion")}),
        ("event-sources", {"name": CARD, "verification": "none"}, {}),
        ("webhooks", {"url": f"https://example.com/{CARD}"}, {}),
        ("webhooks", {"url": "https://example.com/", "description": CARD}, {}),
        ("schedules", SCHEDULE | {"input": {"note": CARD}}, {}),
        ("schedules", SCHEDULE | {"name": CARD}, {}),
        ("schedules", SCHEDULE | {"cron": CARD}, {}),
        ("calendars", {"name": CARD, "dates": [CARD]}, {}),
        (
            "definitions",
            {"name": "a", "do": {"step": "a", "action": "control.noop", "with": {"n": CARD}}},
            {},
        ),
        (
            "definitions",
            {"name": "a", "description": CARD, "do": {"step": CARD, "action": CARD}},
            {},
        ),
        ("triggers", {"name": "t", "event_type": CARD, "definition": CARD, "filter": CARD}, {}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_a_user_writes_a_card_number_into_keeps_none(
    web: FlaskClient, path: str, body: Json, headers: dict[str, str]
) -> None:
    _, key = keys.create_key("root@example.com", is_admin=True)
    bearer = {"Authorization": f"Bearer {key}"}
    answer = web.post(f"/v1/{path}", json=body, headers=headers | bearer)
    assert answer.status_code < 500, answer.text
    web.get(f"/v1/{path}?type={quote(CARD)}&cursor={quote(CARD)}", headers=bearer)
    leaks.in_database(WATCHED, current().database_url)
    assert WATCHED.taken() == []
