"""A secret goes to the hosts that the operator names, and nowhere else."""

import base64
import json
import logging
import os
import socket
from collections.abc import Callable

import pytest

from app.errors import NotConfigured, Permanent
from app.outbound.hiding import HIDDEN
from app.settings import Settings, SettingsInvalid
from tasks.http import client
from tests.contract.cases import Claim
from tests.contract.http.cases import posting
from tests.contract.seam.servers import HEAD, answering, port_of, server, to

Configure = Callable[..., Settings]
TOKEN = "4f1c-the-token-of-a-shop"
VALUE = f"Bearer {TOKEN}"


def lending(configure: Configure, url: str, *others: str, value: str = VALUE) -> None:
    """Lend the secret `shop` to the server at the address, and allow it and others."""
    ports = ",".join(f"127.0.0.1:{port_of(each)}" for each in (url, *others))
    secrets = json.dumps({"shop": {"value": value, "to": [url]}})
    configure(OUTBOUND_ALLOWED=ports, HTTP_SECRETS=secrets)


def asking(url: str) -> dict[str, object]:
    """A request with the secret."""
    return {"method": "GET", "url": url, "secrets": {"X-Shop": "shop"}, "headers": {"X-Own": "me"}}


def test_a_secret_is_sent_and_hidden_where_the_server_repeats_it(configure: Configure) -> None:
    told = json.dumps({"got": {"X-Shop": VALUE, "only": [TOKEN]}, TOKEN: 1}).encode()
    head = HEAD + f"ETag: {TOKEN}\r\nContent-Length: {len(told)}\r\n\r\n".encode()
    with answering(head + told) as (url, _):
        lending(configure, url)
        seen = client.read(asking(url))
    assert seen["json"] == {
        "got": {"X-Shop": HIDDEN, "only": [HIDDEN]},
        HIDDEN: 1,
    }
    assert TOKEN not in json.dumps(seen)


LOGIN = "Basic " + base64.b64encode(b'shop@example.com:pass/w"rd 1').decode()


@pytest.mark.parametrize(
    ("value", "told", "seen"),
    [
        ("Bearer 4f1c/token+of=", r'{"a": NaN, "b": "4f1c\/token+of="}', None),
        ("Bearer 4f1c/token+of=", r'{"b": "{\"c\":\"4f1c\\\/token\u002bof\u003D\"}"}', {"b"}),
        ("Bearer 4f1c/token+of=", '{"b": "/?key=4f1c%2ftoken%2Bof%3D"}', {"b": "/?key=[secret]"}),
        ("Bearer 4f1c/token+of=", "<i>4f1c&#x2F;token&#43;of=</i>", None),
        ("0012345678", '{"b": [12345678, -12345678.0, 990012345678]}', {"b": [HIDDEN] * 3}),
        ("12345678901234567890", '{"b": [12345678901234567000, 1.2345678901234567e+19]}', None),
        (LOGIN, r'{"b": ["pass/w\"rd 1", "pass%2Fw%22rd+1", "shop&#64;example.com"]}', {"b"}),
        (r"ab\\\\cd\ef", r"NaN ab\\\\\\\\cd\\ef", None),
    ],
    ids=["json", "json-in-json", "percent", "html", "number", "rounded", "basic", "backslashes"],
)
def test_a_secret_is_hidden_also_in_another_spelling(
    configure: Configure, value: str, told: str, seen: object
) -> None:
    body = told.encode()
    with answering(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body) as (url, _):
        lending(configure, url, value=value)
        found = client.read(asking(url))
    assert HIDDEN in json.dumps(found)
    assert not any(each in json.dumps(found) for each in ("4f1c", "123456", "pass", "shop", "ef"))
    if isinstance(seen, dict):
        assert found["json"] == seen


def test_a_redirect_to_another_host_gets_neither_the_secret_nor_the_headers(
    configure: Configure,
) -> None:
    done = HEAD + b"Content-Length: 2\r\n\r\n{}"
    # The first request of a connection is read before `answering` notes any: redirect twice.
    with (
        answering(to("/again"), done) as (elsewhere, seen_there),
        answering(to("/own"), to(elsewhere)) as (url, seen_here),
    ):
        lending(configure, url, elsewhere)
        assert client.read(asking(url))["status"] == 200
    own, there = seen_here[0].decode(), seen_there[0].decode()
    assert own.startswith("GET /own ")
    assert f"X-Shop: {VALUE}" in own
    assert "X-Own: me" in own
    assert there.startswith("GET /again ")
    assert TOKEN not in there
    assert "X-Own" not in there


def test_a_redirect_that_parsers_read_differently_is_refused(configure: Configure) -> None:
    # `http://a\\@b/` names the host b for urllib.parse, and a for the client that sends.
    own: list[str] = []

    def mislead(connection: socket.socket) -> None:
        connection.sendall(to(f"{elsewhere.rstrip('/')}\\@{own[0].removeprefix('http://')}"))

    done = HEAD + b"Content-Length: 2\r\n\r\n{}"
    with answering(to("/again"), done) as (elsewhere, reached), server(mislead) as url:
        own.append(url)
        lending(configure, url, elsewhere)
        with pytest.raises(Permanent) as caught:
            client.read(asking(url))
    assert (caught.value.code, reached) == ("cannot_be_sent", [])


def test_a_secret_is_refused_for_a_host_that_may_not_get_it(configure: Configure) -> None:
    with answering() as (url, reached):
        lending(configure, url)
        other = json.dumps({"shop": {"value": VALUE, "to": ["https://127.0.0.1", "127.0.0.1"]}})
        configure(HTTP_SECRETS=other)
        with pytest.raises(Permanent) as caught:
            client.read(asking(url))
    assert (caught.value.code, reached) == ("secret_refused", [])
    assert TOKEN not in caught.value.message


def test_a_secret_that_is_not_there_is_named(configure: Configure) -> None:
    configure(HTTP_SECRETS="")
    with pytest.raises(NotConfigured, match="HTTP_SECRETS is not set"):
        client.read(asking("http://127.0.0.1:1/"))
    configure(HTTP_SECRETS=json.dumps({"other": {"value": VALUE, "to": ["a.example"]}}))
    with pytest.raises(Permanent, match="HTTP_SECRETS has no secret 'shop'"):
        client.read(asking("http://127.0.0.1:1/"))


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        f'{{"shop": "{VALUE}"}}',
        f'{{"shop": {{"value": "{VALUE}"}}}}',
        f'{{"shop": {{"value": "{VALUE}\\n", "to": ["a.example"]}}}}',
        f'{{"shop": {{"value": "{VALUE}", "to": ["ftp://a"]}}}}',
        f'{{"shop": {{"value": "{VALUE}", "to": ["https://a:x"]}}}}',
        '{"shop": {"value": "short", "to": ["a.example"]}}',
    ],
)
def test_a_wrong_setting_is_refused_and_not_shown(configure: Configure, value: str) -> None:
    configure(HTTP_SECRETS=value)
    with pytest.raises(SettingsInvalid, match="HTTP_SECRETS: must look like") as caught:
        client.probe()
    assert TOKEN not in str(caught.value)


def test_no_secret_is_recorded_or_logged(step: Claim, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    prepared = step("http.request", posting(effect="person"))
    made = prepared.run()
    (intent,) = prepared.intents
    secret = token()
    assert intent.request["secrets"] == {"Authorization": "sandbox_jobs"}
    told = f"{intent} {made} {caplog.text}"
    assert secret not in told


def token() -> str:
    """The token of the service for jobs."""
    value: str = json.loads(os.environ["HTTP_SECRETS"])["sandbox_jobs"]["value"]
    return value.removeprefix("Bearer ")
