"""Vercel through plain HTTP, as its REST API is used."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import requests

from tests.sandbox.running import Catcher, Sandbox, until

PAGE = b"<h1>Gallery</h1><img src=a.png>"


class Api:
    """A REST client of Vercel's API."""

    def __init__(self, sandbox: Sandbox, http: requests.Session) -> None:
        self.base, self.http = sandbox.env("VERCEL_BASE_URL"), http
        self.headers = {"Authorization": f"Bearer {sandbox.env('VERCEL_TOKEN')}"}

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = self.headers | more.pop("headers", {})
        return self.http.request(method, self.base + path, headers=headers, timeout=10, **more)

    def upload(self, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha1(data).hexdigest()
        answer = self.call("POST", "/v2/files", data=data, headers={"x-vercel-digest": digest})
        assert answer.status_code == 200, answer.text
        return {"sha": digest, "size": len(data)}

    def deploy(self, **more: Any) -> dict[str, Any]:
        files = [{"file": "index.html"} | self.upload(PAGE), {"file": "a.png"} | self.upload(b"P")]
        body = {"name": "gallery", "files": files, "meta": {"step": "s-1"}} | more
        answer = self.call("POST", "/v13/deployments", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def state(self, uid: str) -> str:
        return str(self.call("GET", f"/v13/deployments/{uid}").json()["readyState"])


@pytest.fixture
def api(sandbox: Sandbox, http: requests.Session) -> Api:
    sandbox.settings(vercel__build_seconds=0.2)
    return Api(sandbox, http)


def test_deployment_is_built_served_and_gone_after_its_removal(
    sandbox: Sandbox, api: Api, http: requests.Session
) -> None:
    deployment = api.deploy()
    assert deployment["readyState"] == "QUEUED"
    assert "/" not in deployment["url"]
    until(lambda: api.state(deployment["id"]) == "READY")
    page = sandbox.env("VERCEL_PAGE_URL").replace("{url}", deployment["url"])
    answer = http.get(page, timeout=10)
    assert (answer.content, answer.url) == (PAGE, f"{page}/")
    assert http.get(f"{page}/a.png", timeout=10).headers["Content-Type"] == "image/png"
    assert http.get(f"{page}/b.png", timeout=10).status_code == 404
    removed = api.call("DELETE", f"/v13/deployments/{deployment['id']}").json()
    assert removed == {"uid": deployment["id"], "state": "DELETED"}
    assert http.get(page, timeout=10).headers["X-Vercel-Error"] == "DEPLOYMENT_NOT_FOUND"
    gone = api.call("DELETE", f"/v13/deployments/{deployment['id']}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
    counts = sandbox.books("?meta.step=s-1")
    assert (counts["deployments"], counts["removals"]) == (1, 1)


def test_missing_files_are_listed(api: Api) -> None:
    absent = hashlib.sha1(b"never uploaded").hexdigest()
    files = [{"file": "index.html", "sha": absent, "size": 14}]
    answer = api.call("POST", "/v13/deployments", json={"name": "gallery", "files": files})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["missing"]) == ("missing_files", [absent])


def test_upload_with_another_digest_is_refused(api: Api) -> None:
    answer = api.call("POST", "/v2/files", data=b"x", headers={"x-vercel-digest": "0" * 40})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Digest is not valid")


@pytest.mark.parametrize("version", ["v6", "v7"])
def test_deployments_are_listed_by_meta_and_page_by_time(
    sandbox: Sandbox, api: Api, version: str
) -> None:
    mine, other = api.deploy(), api.deploy(meta={"step": "s-2"})
    found = api.call("GET", f"/{version}/deployments?app=gallery&meta-step=s-1").json()
    assert [each["uid"] for each in found["deployments"]] == [mine["id"]]
    page = api.call("GET", f"/{version}/deployments?limit=1").json()
    assert page["deployments"][0]["uid"] == other["id"]
    rest = api.call("GET", f"/{version}/deployments?until={page['pagination']['next']}").json()
    assert [each["uid"] for each in rest["deployments"]] == [mine["id"]]
    sandbox.settings(vercel__list_lag_seconds=60)
    assert api.call("GET", f"/{version}/deployments").json()["deployments"] == []


def test_failed_build_ends_in_error_and_says_why(sandbox: Sandbox, api: Api) -> None:
    sandbox.fault(vendor="vercel", operation="deployments.create", kind="fail", error="no disk")
    deployment = api.deploy()
    until(lambda: api.state(deployment["id"]) == "ERROR")
    body = api.call("GET", f"/v13/deployments/{deployment['url']}").json()
    assert body["errorMessage"] == "no disk"


def test_webhooks_are_signed_over_the_raw_body(
    sandbox: Sandbox, api: Api, catcher: Catcher
) -> None:
    deployment = api.deploy()
    until(lambda: catcher.events("/hooks/vercel", "deployment.succeeded"))
    secret = sandbox.env("VERCEL_WEBHOOK_SECRET").encode()
    for _, headers, raw in list(catcher.got):
        signature = hmac.new(secret, raw, hashlib.sha1).hexdigest()
        assert headers["x-vercel-signature"] == signature
        shown = json.loads(raw)["payload"]["deployment"]
        assert (shown["id"], shown["meta"]) == (deployment["id"], {"step": "s-1"})
    assert catcher.events("/hooks/vercel", "deployment.created")


def test_lost_reply_leaves_a_deployment_that_its_meta_finds(sandbox: Sandbox, api: Api) -> None:
    sandbox.fault(vendor="vercel", operation="deployments.create", kind="lost_reply")
    with pytest.raises(requests.ConnectionError):
        api.deploy()
    found = api.call("GET", "/v6/deployments?meta-step=s-1").json()["deployments"]
    assert len(found) == 1


def test_wrong_token_is_vercels_403(api: Api) -> None:
    api.headers = {"Authorization": "Bearer wrong"}
    answer = api.call("GET", "/v2/user")
    assert (answer.status_code, answer.json()["error"]["invalidToken"]) == (403, True)
