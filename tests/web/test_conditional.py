"""What clients and caches may keep, and what they need not fetch again."""

import pytest
from flask.testing import FlaskClient

from app.files import artifacts
from tests.contract.pictures import small
from tests.web.conftest import Caller
from web import routes
from web.conditional import KEPT

PAGES = [
    "/",
    "/openapi/",
    "/openapi/openapi.json",
    "/openapi/redoc",
    "/openapi/redoc/js/redoc.standalone.js",
    "/openapi/swagger",
    "/openapi/swagger/css/swagger-ui.css",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_be_shared_and_is_not_sent_twice(client: FlaskClient, path: str) -> None:
    first = client.get(path)
    assert (first.status_code, first.headers["Surrogate-Key"]) == (200, "playalter-pages")
    assert first.headers["Cache-Control"] == "public, max-age=300, s-maxage=3600"
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert client.get(path, headers={"If-None-Match": '"another"'}).data == first.data


def test_the_index_depends_on_what_is_accepted(client: FlaskClient) -> None:
    page, names = (client.get("/", headers={"Accept": each}) for each in ("text/html", "*/*"))
    assert page.headers["ETag"] != names.headers["ETag"]
    assert "Accept" in page.headers["Vary"]


@pytest.mark.parametrize("path", ["/v1/actions", "/v1/actions/openai.caption", "/v1/definitions"])
def test_what_needs_a_key_is_for_its_client_alone_and_not_sent_twice(
    client: FlaskClient, caller: Caller, path: str
) -> None:
    first = client.get(path, headers=caller.headers)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert {"authorization", "x-api-key"} <= set(first.vary.as_set())
    assert "Surrogate-Key" not in first.headers
    known = {"If-None-Match": first.headers["ETag"]}
    assert client.get(path, headers={**caller.headers, **known}).status_code == 304
    refused = client.get(path, headers=known)
    assert (refused.status_code, refused.headers["Cache-Control"]) == (401, "no-store")


@pytest.mark.parametrize("path", ["/v1/workflows", "/v1/schedules", "/healthz", "/metrics", "/no"])
def test_what_changes_or_is_personal_is_kept_by_nobody(
    client: FlaskClient, caller: Caller, path: str
) -> None:
    found = client.get(path, headers=caller.headers)
    assert found.headers["Cache-Control"] == "no-store"
    assert "ETag" not in found.headers


def test_a_file_is_compared_by_its_content_and_gone_when_it_is_erased(
    client: FlaskClient, caller: Caller
) -> None:
    row = artifacts.upload(caller.user_id, small("astronaut.png"))
    path = f"/v1/artifacts/{row['id']}"
    link = artifacts.link(row["id"], seconds=600).partition("127.0.0.1:8000")[2]
    first, linked = client.get(path, headers=caller.headers), client.get(link)
    assert first.headers["ETag"] == linked.headers["ETag"] == f'"{row["sha256"]}"'
    assert first.headers["Cache-Control"] == "private, no-cache"
    control = linked.headers["Cache-Control"]
    assert control.startswith("private, max-age=")
    assert control.endswith(", immutable")
    assert 590 <= int(control.split("=")[1].split(",")[0]) <= 600
    known = {"If-None-Match": first.headers["ETag"]}
    assert client.get(path, headers={**caller.headers, **known}).status_code == 304
    assert client.get(link, headers=known).status_code == 304
    long = artifacts.link(row["id"]).partition("127.0.0.1:8000")[2]
    assert "max-age=3600" in client.get(long).headers["Cache-Control"]
    store = artifacts.Artifacts(row["id"], "none", caller.user_id)
    assert store.erase(row["id"])
    for asked in (path, link):
        gone = client.get(asked, headers={**caller.headers, **known})
        assert (gone.status_code, gone.headers["Cache-Control"]) == (404, "no-store")


def test_every_route_that_may_be_kept_is_one() -> None:
    rules = {rule.rule for rule in routes().url_map.iter_rules()}
    assert set(KEPT) <= rules


def test_what_needs_a_key_is_asked_for_each_time_and_told_apart_by_both_keys() -> None:
    kept = [keeping for route, keeping in KEPT.items() if route.startswith("/v1/")]
    assert {each.control for each in kept} == {"private, no-cache"}
    assert {each.vary for each in kept} == {"Authorization, X-API-Key, Accept"}
