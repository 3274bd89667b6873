"""Whatever a platform answers, a call ends with a sound result or with an Outcome.

A call with an effect, whose answer says success and cannot be read, may have taken effect: its
outcome is Unknown. The answers are those of the sandbox, mutated (mutations.py).
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from app.payload import clean
from app.settings import Settings
from tests.canaries import CARDS, WATCHED
from tests.contract.fuzz.asked import Asked, Client, Made
from tests.contract.fuzz.calls import CLIENTS, http_calls
from tests.contract.fuzz.mutations import PAGE, Answer, mutated_answer
from tests.contract.fuzz.relay import Relay, relay
from tests.contract.vendors import Vendors

FEW, MANY = 60, 10_000
SEED = 15
Configure = Callable[..., Settings]
NAMES = [each.name for each in CLIENTS] + ["http"]
FAMILIES = Counter(each.platform for each in CLIENTS)
"""A platform's clients share the number of its mutations."""


@pytest.fixture(scope="module")
def between() -> Iterator[Relay]:
    """A relay for the tests of this module."""
    with relay() as made:
        yield made


@pytest.fixture(autouse=True)
def brief(nothing_leaks: None, caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of calls are logged as briefly as in production."""
    caplog.set_level("INFO")


@pytest.fixture
def client(
    request: pytest.FixtureRequest, between: Relay, configure: Configure, vendors: Vendors
) -> Client:
    """The client of the platform that the test's parameter names, over the relay."""
    between.instead, between.heard = None, {}
    if request.param == "http":
        between.target = vendors.urls["http"]
        token = json.loads(vendors.env["HTTP_SECRETS"])["sandbox_jobs"]["value"]
        configure(
            OUTBOUND_ALLOWED=urlsplit(between.url).netloc,
            HTTP_SECRETS=json.dumps({"jobs": {"value": token, "to": [between.url]}}),
        )
        return http_calls(between.url)
    (found,) = [each for each in CLIENTS if each.name == request.param]
    whole = urlsplit(vendors.env[found.setting])
    between.target = f"{whole.scheme}://{whole.netloc}"
    configure(**{found.setting: between.url + whole.path})
    return found


def share(client: Client, count: int) -> int:
    """The part that a client has in so many mutations of its platform's answers."""
    return count // max(1, FAMILIES[client.platform])


@pytest.mark.parametrize("client", NAMES, indirect=True)
def test_any_answer_is_a_sound_result_or_an_outcome(client: Client, between: Relay) -> None:
    fuzz(client, between, max(2 * len(client.calls), share(client, FEW)))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("client", NAMES, indirect=True)
def test_any_of_many_answers_is_a_sound_result_or_an_outcome(
    client: Client, between: Relay
) -> None:
    fuzz(client, between, share(client, MANY))


def moderation(**categories: object) -> bytes:
    """An answer to `moderations.create` with these categories."""
    said = {"flagged": False, "categories": categories}
    return json.dumps({"model": "m", "results": [said]}).encode()


DEEP = b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
LISTED = b'{"object": "list", "has_more": %s, "data": [%s]}'
WRONGLY_MARKED = b'{"object": "customer", "id": "cus_1", "metadata": "x"}'
STREAM_WITHOUT_END = b'data: {"type": "speech.audio.delta", "audio": "//MA"}\n\n'
WITHOUT_ITEMS = b'{"object": "subscription", "id": "sub_1"}'
UNREADABLE: tuple[tuple[str, str, bytes, type[Outcome]], ...] = (
    ("agora", "kicking_rules.create", PAGE, Retryable),
    ("agora", "kicking_rules.list", DEEP, Retryable),
    ("n8n", "executions.get", DEEP, Retryable),
    ("openai", "chat.completions.create", b'{"choices": []}', Unknown),
    ("openai", "moderations.create", b'{"results": [{}]}', Retryable),
    ("openai", "moderations.create", moderation(hate="no"), Retryable),
    ("openai", "images.generate", b'{"data": [{"b64_json": "no base64"}]}', Unknown),
    ("openai", "audio.transcriptions.create", b'{"text": "a", "duration": -1}', Unknown),
    ("openai", "audio.speech.create", STREAM_WITHOUT_END, Unknown),
    ("openai", "files.create", b'{"id": 5}', Unknown),
    ("openai", "files.list", b'{"data": [], "has_more": "no"}', Retryable),
    ("replicate", "predictions.create", b'{"id": 5, "status": "starting"}', Unknown),
    ("replicate", "files.list", b'{"results": [5]}', Retryable),
    ("replicate", "files.list", b'{"results": [], "next": "\\ud800"}', Retryable),
    ("replicate", "files.list", b'{"results": [], "next": "\\u0000"}', Retryable),
    ("replicate", "files.list", b'{"results": [], "next": "%s"}' % (b"a" * 70_000), Retryable),
    ("stripe-payments", "payment_intents.create", b"[]", Unknown),
    ("stripe-payments", "payment_intents.create", b'{"object": "payment_intent"}', Unknown),
    ("stripe-payments", "refunds.list", b'{"object": "list", "data": {}}', Retryable),
    ("stripe-customers", "customers.marked", LISTED % (b"false", WRONGLY_MARKED), Retryable),
    ("stripe-customers", "customers.marked", LISTED % (b"true", b""), Retryable),
    ("stripe-subscriptions", "subscriptions.create", WITHOUT_ITEMS, Unknown),
    ("stripe-subscriptions", "subscriptions.retrieve", WITHOUT_ITEMS, Retryable),
    ("vercel", "deployments.create", b'{"id": 5}', Unknown),
    ("vercel", "deployments.create", b'{"id": "dpl_\\u0000"}', Unknown),
    ("vercel", "deployments.list", b"{}", Retryable),
)


@pytest.mark.parametrize(
    ("client", "name", "body", "expected"),
    UNREADABLE,
    indirect=["client"],
    ids=[f"{client}-{name}-{body[:12]!r}" for client, name, body, _ in UNREADABLE],
)
def test_a_success_that_cannot_be_read_is_neither_success_nor_failure(
    client: Client, between: Relay, name: str, body: bytes, expected: type[Outcome]
) -> None:
    (asked,) = [each for each in client.calls if each.name == name]
    made = client.setup()
    for each in client.calls[: client.calls.index(asked)]:
        made[each.name] = each.make(made)
    between.instead = Answer(200, {"Content-Type": "application/json"}, body).sent()
    with pytest.raises(expected):
        asked.make(made)


@pytest.mark.parametrize("client", [name for name in NAMES if name != "http"], indirect=True)
def test_a_redirect_is_neither_success_nor_refusal(client: Client, between: Relay) -> None:
    between.instead = Answer(307, {"Location": f"{between.url}/elsewhere"}, b"").sent()
    made: Made = defaultdict(lambda: {"id": "x_1"})
    for asked in client.calls:
        with pytest.raises(Retryable if asked.is_repeatable else Unknown):
            pytest.fail(f"{asked.name} gave {asked.make(made)}")


_SAID = {"role": "assistant", "content": "Rain falls", "refusal": ""}
_CHOICE = {"index": 0, "message": _SAID, "finish_reason": ""}
_COMPLETION = {"choices": [_CHOICE], "model": "", "service_tier": ""}
_FOREIGN = {"id": 5, "created_at": "2100-01-01T00:00:00Z", "metadata": {}}
_BROKEN = {"id": "dpl_1", "readyState": "ERROR", "errorMessage": None, "errorCode": ""}
READABLE: tuple[tuple[str, str, Any, Any], ...] = (
    ("agora", "kicking_rules.create", {"status": "success", "id": True}, None),
    ("agora", "kicking_rules.create", {"status": "success", "id": -1}, None),
    ("openai", "chat.completions.create", _COMPLETION, "Rain falls"),
    ("vercel", "deployments.create", {"id": "dpl_1", "url": "", "status": "QUEUED"}, "dpl_1"),
    ("vercel", "deployments.create", _BROKEN, "dpl_1"),
    ("replicate", "files.list", {"results": [_FOREIGN], "next": None}, []),
)


@pytest.mark.parametrize(
    ("client", "name", "answer", "expected"),
    READABLE,
    indirect=["client"],
    ids=[name for _, name, _, _ in READABLE],
)
def test_an_answer_is_not_refused_for_what_is_not_used(
    client: Client, between: Relay, name: str, answer: Any, expected: Any
) -> None:
    (asked,) = [each for each in client.calls if each.name == name]
    body = json.dumps(answer).encode()
    between.instead = Answer(200, {"Content-Type": "application/json"}, body).sent()
    made = asked.make({})
    assert asked.is_sound(made)
    assert (made.get("text") or made["id"] if isinstance(made, dict) else made) == expected


@pytest.mark.parametrize("client", NAMES, indirect=True)
def test_an_error_repeats_no_credential_and_no_card_number(client: Client, between: Relay) -> None:
    made = client.setup()
    said: dict[str, bytes] = {}
    for asked in client.calls:
        between.heard = {}
        made[asked.name] = asked.make(made)
        said[asked.name] = _repeating(between.heard)
    assert any(b"a word" in body for body in said.values()), "no request has a credential"
    for status in (200, 400, 402, 403, 404, 409, 422, 429, 500):
        for asked in client.calls:
            between.instead = Answer(status, {}, said[asked.name]).sent()
            check_outcome(asked, made)


def _repeating(headers: dict[str, str]) -> bytes:
    """An error that repeats the credentials of a request, and card numbers."""
    secrets = [f"{name}, a word, {value}" for name, value in headers.items()]
    said = f"these are wrong: {' '.join((*secrets, *CARDS))}"
    body: dict[str, Any] = dict.fromkeys(("message", "detail", "title", "status", "code"), said)
    body["error"] = body | {"type": "card_error", "param": said}
    return json.dumps(body).encode()


def check_outcome(asked: Asked, made: Made) -> None:
    """Make a call; if it ends with an Outcome, its words hold neither a secret nor a number."""
    try:
        asked.make(made)
    except Outcome as err:
        told = f"{err.message} {err.code} {getattr(err, 'detail', '')}"
        assert WATCHED.within(told) == set(), told


def fuzz(client: Client, between: Relay, count: int) -> None:
    """Make each call once, then again with mutations of its answer, `count` in all."""
    made = client.setup()
    answers: dict[str, Answer] = {}
    for asked in client.calls:
        between.kept.clear()
        made[asked.name] = asked.make(made)
        assert asked.is_sound(made[asked.name]), asked.name
        answers[asked.name] = between.kept[-1]
    chance, faults = random.Random(SEED), []
    for number in range(count):
        asked = client.calls[number % len(client.calls)]
        status, between.instead = mutated_answer(answers[asked.name], chance)
        if fault := fault_of(asked, made, status):
            faults.append(f"{number}, {asked.name}: {fault}: {between.instead[:600]!r}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:10])


def fault_of(asked: Asked, made: Made, status: int) -> str | None:
    """What is wrong with the end of a call that gets an answer with this status, 0 for none."""
    try:
        result = asked.make(made)
    except Outcome as err:
        return _fault_of_outcome(asked, err, status)
    except Exception as err:  # noqa: BLE001 # what must not happen
        return f"raised {type(err).__name__}: {str(err)[:200]}"
    if not asked.is_sound(result):
        return f"returned {str(result)[:300]}"
    json.dumps(clean(result), allow_nan=False).encode()
    return None


def _fault_of_outcome(asked: Asked, err: Outcome, status: int) -> str | None:
    told = f"raised {type(err).__name__} {err.code}: {err.message[:200]}"
    may_be_done = status < 400 or (status >= 500 and not asked.errors_do_nothing)
    if may_be_done and not asked.is_repeatable and not isinstance(err, Unknown):
        return told
    is_success = status < 300 and isinstance(err, Permanent)
    if is_success and err.code not in asked.says_no:
        return told
    return None if isinstance(err, Unknown | Retryable | NotServed | Permanent) else told
