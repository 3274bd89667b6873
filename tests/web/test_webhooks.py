"""Webhook endpoints over HTTP and on the command line, as their users and an operator see them."""

import threading
import time
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from app.identity import keys
from app.settings import Settings
from chains.webhooks.sender import Sender
from tests import forked
from tests.forgetting import forget
from tests.integration.webhooks.receiver import Answer, Receiver
from tests.web.conftest import Caller
from web.schemas.webhooks import (
    AttemptPage,
    CreatedEndpoint,
    Endpoint,
    EndpointDetail,
    EndpointPage,
    MessagePage,
    Pinged,
)

Json = dict[str, Any]
SECRET = "whsec_"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A server for the tests of this module."""
    with Receiver().serving() as made:
        yield made


@pytest.fixture(autouse=True)
def allowed(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The receiver's port is allowed."""
    monkeypatch.setenv("OUTBOUND_ALLOWED", f"127.0.0.1:{receiver.port}")
    forget()
    receiver.got.clear()
    yield
    forget()


@pytest.fixture
def hooks(allowed: None) -> Iterator[Sender]:
    """A sender that runs."""
    sender = Sender()
    thread = threading.Thread(target=sender.run)
    thread.start()
    yield sender
    sender.stop()
    thread.join(timeout=20)


class Api:
    """The webhooks of one user."""

    def __init__(self, client: FlaskClient, who: Caller) -> None:
        self._client, self._who = client, who

    def ask(self, method: str, path: str = "", status: int = 200, **given: Any) -> Json:
        """The body of the answer, which must have this status."""
        answer = self._client.open(
            f"/v1/webhooks{path}", method=method, headers=self._who.headers, **given
        )
        assert answer.status_code == status, answer.json
        body = answer.json
        assert body is not None
        return dict(body)

    def create(self, url: str, **more: Any) -> CreatedEndpoint:
        """Create an endpoint."""
        made = self.ask("POST", status=201, json={"url": url, **more})
        return CreatedEndpoint.model_validate(made, strict=False)


@pytest.fixture
def api(client: FlaskClient, caller: Caller) -> Api:
    """Ada's webhooks."""
    return Api(client, caller)


def test_an_endpoint_is_made_shown_changed_and_deleted(api: Api, receiver: Receiver) -> None:
    made = api.create(receiver.url("/a"), event_types=["step.failed"] * 2, description="mine")
    assert made.secret.startswith(SECRET)
    assert (made.event_types, made.status, made.waiting) == (["step.failed"], "active", 0)
    path = f"/{made.id}"
    shown = api.ask("GET", path)
    assert SECRET not in str(shown)
    assert EndpointDetail.model_validate(shown, strict=False).attempts == []
    changed = api.ask("PATCH", path, json={"description": "ours", "with_children": True})
    endpoint = Endpoint.model_validate(changed, strict=False)
    assert (endpoint.description, endpoint.with_children, endpoint.url) == ("ours", True, made.url)
    assert endpoint.event_types == ["step.failed"]
    assert api.ask("PATCH", path, json={"event_types": None})["event_types"] is None
    rotated = api.ask("POST", f"{path}/rotate", json={"former_hours": 2})
    assert rotated["secret"] not in (made.secret, "")
    assert rotated["former_secret_until"] is not None
    assert api.ask("POST", f"{path}/disable")["result"] == "disabled"
    assert api.ask("POST", f"{path}/disable")["result"] == "unchanged"
    assert api.ask("GET", path)["disabled_reason"] == "asked"
    assert api.ask("POST", f"{path}/replay", 409, json={})["code"] == "endpoint_disabled"
    assert api.ask("POST", f"{path}/enable", json={"replay": True})["replayed"] == 0
    assert api.ask("DELETE", path)["result"] == "deleted"
    assert api.ask("GET", path, 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"url": "https://10.1.2.3/x"}, "/url", "no public address"),
        ({"url": "http://example.com/x"}, "/url", "must begin with https://"),
        ({}, "/url", "is required"),
        ({"url": "https://example.com", "event_types": ["x"]}, "/event_types/0", "should be"),
        ({"url": "https://example.com", "events": []}, "/events", "is not a known field"),
    ],
)
def test_a_fault_is_named_by_its_field(api: Api, body: Json, pointer: str, words: str) -> None:
    told = api.ask("POST", status=422, json=body)
    assert [fault["pointer"] for fault in told["errors"]] == [pointer]
    assert words in told["errors"][0]["detail"]


def test_what_is_anothers_is_not_there_but_an_operator_sees_and_disables_it(
    client: FlaskClient, api: Api, stranger: Caller, receiver: Receiver
) -> None:
    made = api.create(receiver.url("/mine"))
    others = Api(client, stranger)
    for method, what in (
        *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/attempts"), ("POST", "/ping")),
        ("GET", "/messages"),
        *(("POST", f"/{each}") for each in ("rotate", "enable", "disable", "replay")),
        ("POST", f"/messages/msg_{'0' * 32}/replay"),
    ):
        given: Json = {} if method in ("GET", "DELETE") or what == "/ping" else {"json": {}}
        others.ask(method, f"/{made.id}{what}", 404, **given)
    assert others.ask("GET") == {"items": [], "next_cursor": None}
    root = Api(client, Caller(*keys.create_key("root@example.com", is_admin=True)))
    page = EndpointPage.model_validate(root.ask("GET"), strict=False)
    assert [each.owner for each in page.items] == ["ada@example.com"]
    assert root.ask("POST", f"/{made.id}/disable")["result"] == "disabled"
    root.ask("PATCH", f"/{made.id}", 404, json={"description": "x"})
    assert api.ask("GET")["items"][0]["owner"] is None


def test_the_metrics_count_endpoints_and_tell_what_is_late(
    client: FlaskClient, api: Api, receiver: Receiver, start: Callable[..., UUID]
) -> None:
    api.create(receiver.url("/counted"))
    off = api.create(receiver.url("/off"))
    api.ask("POST", f"/{off.id}/disable")
    start()
    page = client.get("/metrics").get_data(as_text=True)
    assert 'playalter_webhook_endpoints{state="active"} 1.0' in page
    assert 'playalter_webhook_endpoints{state="disabled"} 1.0' in page
    (late,) = [line for line in page.splitlines() if line.startswith("playalter_webhook_late")]
    assert 0 < float(late.split()[1]) < 60


def test_messages_are_listed_by_what_became_of_them(
    api: Api, receiver: Receiver, start: Callable[..., UUID]
) -> None:
    made = api.create(receiver.url("/listed"))
    workflows = [str(start()) for _ in range(2)]
    api.ask("POST", f"/{made.id}/disable")
    workflows.append(str(start()))
    api.ask("POST", f"/{made.id}/enable", json={})
    workflows.append(str(start()))
    path = f"/{made.id}/messages"
    first = MessagePage.model_validate(api.ask("GET", f"{path}?limit=3"), strict=False)
    rest = MessagePage.model_validate(
        api.ask("GET", f"{path}?limit=3&cursor={first.next_cursor}"), strict=False
    )
    listed = [*first.items, *rest.items]
    assert [str(each.workflow_id) for each in listed] == workflows[::-1]
    assert [each.status for each in listed] == ["pending", "missed", "missed", "missed"]
    for status, count in (("waiting", 1), ("delivered", 0), ("undelivered", 3)):
        assert len(api.ask("GET", f"{path}?status={status}")["items"]) == count
    assert api.ask("POST", f"{path}/{listed[1].message_id}/replay", 202)["replayed"] == 1
    again = api.ask("POST", f"{path}/{listed[1].message_id}/replay", 409)
    assert again["code"] == "not_ended"
    assert api.ask("POST", f"/{made.id}/replay", 202, json={})["replayed"] == 2


def test_a_list_has_pages(api: Api, receiver: Receiver) -> None:
    made = [str(api.create(receiver.url(f"/{n}")).id) for n in range(3)]
    first = api.ask("GET", "?limit=2")
    rest = api.ask("GET", f"?limit=2&cursor={first['next_cursor']}")
    assert [item["id"] for item in (*first["items"], *rest["items"])] == made[::-1]
    assert rest["next_cursor"] is None


def test_a_ping_is_answered_with_what_came_of_it(
    api: Api, receiver: Receiver, hooks: Sender
) -> None:
    receiver.answers["/down"] = Answer(503, body=b"not now")
    up, down = api.create(receiver.url("/up")), api.create(receiver.url("/down"))
    found = Pinged.model_validate(api.ask("POST", f"/{up.id}/ping"), strict=False)
    assert (found.outcome, found.status, found.reply) == ("delivered", 200, "thank you")
    assert receiver.of("/up")[0].verified(up.secret)["id"] == found.message_id
    lost = Pinged.model_validate(api.ask("POST", f"/{down.id}/ping"), strict=False)
    assert (lost.outcome, lost.status, lost.reply) == ("failed", 503, "not now")
    page = AttemptPage.model_validate(api.ask("GET", f"/{down.id}/attempts"), strict=False)
    assert [(each.type, each.status) for each in page.items] == [("webhook.ping", 503)]


Run = Callable[..., CompletedProcess[str]]


def test_the_commands_do_what_the_api_does(
    server: str,
    caller: Caller,
    receiver: Receiver,
    hooks: Sender,
    start: Callable[..., UUID],
) -> None:
    def run(*words: str, code: int = 0) -> str:
        variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}
        ended = forked.playalter("webhooks", *words, **variables)
        assert ended.returncode == code, ended.stderr
        return ended.stdout + ended.stderr

    made = run("create", receiver.url("/cli"), "--event", "workflow.started").splitlines()
    endpoint, secret = made[:2]
    assert "delivered" not in run("ping", endpoint)
    start()
    ends = time.monotonic() + 10
    while len(receiver.of("/cli")) < 2:
        assert time.monotonic() < ends
        time.sleep(0.05)
    message = receiver.of("/cli")[1]
    assert message.verified(secret)["type"] == "workflow.started"
    assert hooks.wait(5)
    assert f"{message.id}  workflow.started  try 1  answered 200" in run("attempts", endpoint)
    assert f"{message.id}  workflow.started  delivered  1 tries" in run("messages", endpoint)
    assert "1 messages are sent again" in run("replay", endpoint, "--message", message.id)
    assert "https://" in run("change", endpoint, "--url", "http://example.com", code=2)
    assert SECRET in run("rotate", endpoint)
    assert run("disable", endpoint) == "disabled\n"
    assert "disabled (asked)" in run("list")
    assert "0 messages are sent again" in run("enable", endpoint)
    assert run("delete", endpoint) == "deleted\n"
