"""Agora: tokens built here from the published layout, and the channel management API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time
import zlib
from typing import Any

import pytest
import requests

from tests.sandbox.running import Sandbox


def packed(text: bytes) -> bytes:
    return struct.pack("<H", len(text)) + text


def build_token(
    app_id: str,
    certificate: str,
    channel: str,
    uid: int,
    issued: int | None = None,
    expire: int = 600,
    privileges: dict[int, int] | None = None,
) -> str:
    issued, salt = int(time.time()) if issued is None else issued, 4711
    granted = {1: expire, 2: expire} if privileges is None else privileges
    pairs = b"".join(struct.pack("<HI", number, until) for number, until in granted.items())
    service = struct.pack("<HH", 1, len(granted)) + pairs
    service += packed(channel.encode()) + packed(str(uid).encode() if uid else b"")
    signed = packed(app_id.encode()) + struct.pack("<IIIH", issued, expire, salt, 1) + service
    key = hmac.new(struct.pack("<I", issued), certificate.encode(), hashlib.sha256).digest()
    key = hmac.new(struct.pack("<I", salt), key, hashlib.sha256).digest()
    signature = hmac.new(key, signed, hashlib.sha256).digest()
    return "007" + base64.b64encode(zlib.compress(packed(signature) + signed)).decode()


class Edge:
    """The imitated Agora, as app and as backend."""

    def __init__(self, sandbox: Sandbox, http: requests.Session) -> None:
        self.base, self.http = sandbox.env("AGORA_BASE_URL"), http
        self.app_id = sandbox.env("AGORA_APP_ID")
        self.certificate = sandbox.env("AGORA_APP_CERTIFICATE")
        self.auth = (sandbox.env("AGORA_CUSTOMER_ID"), sandbox.env("AGORA_CUSTOMER_SECRET"))

    def token(self, **more: Any) -> str:
        given: dict[str, Any] = {"app_id": self.app_id, "certificate": self.certificate}
        return build_token(**given | {"channel": "show", "uid": 7} | more)

    def join(self, token: str, channel: str = "show", uid: int = 7) -> dict[str, Any]:
        body = {"token": token, "channel": channel, "uid": uid}
        answer: dict[str, Any] = self.http.post(
            f"{self.base}/sandbox/join", json=body, timeout=10
        ).json()
        return answer

    def rest(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.http.request(method, self.base + path, json=body, auth=self.auth, timeout=10)


@pytest.fixture
def edge(sandbox: Sandbox, http: requests.Session) -> Edge:
    return Edge(sandbox, http)


def test_right_token_joins_and_the_channel_lists_the_user(edge: Edge) -> None:
    joined = edge.join(edge.token())
    assert (joined["result"], joined["privileges"]) == ("joined", ["join_channel", "publish_audio"])
    users = edge.rest("GET", f"/dev/v1/channel/user/{edge.app_id}/show").json()
    assert users["data"]["users"] == [7]
    channels = edge.rest("GET", f"/dev/v1/channel/{edge.app_id}").json()["data"]["channels"]
    assert channels == [{"channel_name": "show", "user_count": 1}]


def test_token_for_any_user_admits_any_user(edge: Edge) -> None:
    assert edge.join(edge.token(uid=0), uid=99)["result"] == "joined"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"certificate": "0" * 32}, "invalid_signature"),
        ({"app_id": "0" * 32}, "invalid_app_id"),
        ({"channel": "other"}, "channel_mismatch"),
        ({"uid": 8}, "uid_mismatch"),
        ({"issued": int(time.time()) - 1000}, "token_expired"),
        ({"privileges": {2: 600}}, "no_privilege"),
        ({"issued": int(time.time()) - 100, "privileges": {1: 50}}, "privilege_expired"),
    ],
)
def test_wrong_token_is_refused_with_its_reason(
    edge: Edge, changed: dict[str, Any], reason: str
) -> None:
    refused = edge.join(edge.token(**changed))
    assert (refused["result"], refused["reason"]) == ("refused", reason)


def test_text_that_is_no_token_is_malformed(edge: Edge) -> None:
    assert edge.join("007AAAA")["reason"] == "malformed"
    assert edge.join("006AAAA")["reason"] == "unsupported_version"


def test_kicking_rule_empties_and_closes_the_channel_until_it_is_deleted(
    sandbox: Sandbox, edge: Edge
) -> None:
    edge.join(edge.token())
    body = {"appid": edge.app_id, "cname": "show", "time": 60, "privileges": ["join_channel"]}
    made = edge.rest("POST", "/dev/v1/kicking-rule", body).json()
    assert made["status"] == "success"
    assert edge.rest("GET", f"/dev/v1/channel/user/{edge.app_id}/show").json()["data"] == {
        "channel_exist": False
    }
    assert edge.join(edge.token())["reason"] == "kicked"
    rules = edge.rest("GET", f"/dev/v1/kicking-rule?appid={edge.app_id}").json()["rules"]
    assert [rule["id"] for rule in rules] == [made["id"]]
    change = {"appid": edge.app_id, "id": made["id"]}
    assert edge.rest("PUT", "/dev/v1/kicking-rule", change | {"time": 5}).ok
    assert edge.rest("DELETE", "/dev/v1/kicking-rule", change).json()["id"] == made["id"]
    assert edge.join(edge.token())["result"] == "joined"
    assert sandbox.books("?cname=show")["kicking_rules"] == 1


def test_rest_refuses_wrong_secrets_and_wrong_bodies(edge: Edge) -> None:
    body = {"appid": edge.app_id, "cname": "show", "time": 1441, "privileges": ["join_channel"]}
    assert edge.rest("POST", "/dev/v1/kicking-rule", body).status_code == 400
    edge.auth = (edge.auth[0], "wrong")
    assert edge.rest("GET", "/dev/v1/projects").status_code == 401
