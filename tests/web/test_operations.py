"""Liveness, readiness, metrics, and the pages of the API's documentation."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from uuid import UUID

import pytest
import redis
from flask.testing import FlaskClient

from app import db
from app.broker import presence
from app.db import engines
from app.identity import keys
from app.settings import Settings, current
from chains.schedules.zones import tzdata_version
from tests.web.conftest import Caller, change
from web import create_app


def test_a_process_with_both_stores_is_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json is not None
    assert {name: store["ok"] for name, store in answer.json["stores"].items()} == {
        "postgresql": True,
        "valkey": True,
    }
    assert answer.json["stores"]["valkey"]["milliseconds"] >= 0
    assert answer.json["tzdata"] == tzdata_version()


@pytest.mark.parametrize(
    ("away", "setting"),
    [
        ("postgresql", {"database_url": "postgresql+psycopg2://a:b@127.0.0.1:1/test"}),
        ("valkey", {"redis_url": "redis://127.0.0.1:1/0"}),
        # No host answers at this address (RFC 5737): only a time-out ends the wait.
        ("postgresql", {"database_url": "postgresql+psycopg2://a:b@192.0.2.1/test"}),
        ("valkey", {"redis_url": "redis://192.0.2.1:6379/0"}),
    ],
)
def test_a_store_that_is_away_is_named_within_its_bound(
    settings: Settings, away: str, setting: dict[str, str]
) -> None:
    client = create_app(settings.model_copy(update=setting)).test_client()
    began = time.monotonic()
    answer = client.get("/readyz")
    # Without a bound, a connection to nowhere takes more than two minutes.
    assert time.monotonic() - began < 20
    assert answer.status_code == 503
    assert answer.json is not None
    assert [name for name, store in answer.json["stores"].items() if not store["ok"]] == [away]


def test_without_postgresql_the_api_says_so_and_when_to_come_back(
    settings: Settings, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.engine().dispose()
    engines._engine.cache_clear()
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg2://a:b@127.0.0.1:1/test")
    current.cache_clear()
    answer = create_app(current()).test_client().get("/v1/workflows", headers=caller.headers)
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0


def test_no_vendors_sdk_is_imported_by_the_web_process() -> None:
    code = "import sys, web; print(sorted({'stripe', 'openai', 'replicate'} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert told.stdout.strip() == "[]"


def test_metrics_count_requests_queues_and_workflows(
    client: FlaskClient, caller: Caller, settings: Settings, start: Callable[..., UUID]
) -> None:
    client.get(f"/v1/workflows/{start()}", headers=caller.headers)
    with redis.Redis.from_url(settings.redis_url, socket_timeout=5) as valkey:
        valkey.lpush("stripe", "a", "b")
        valkey.lpush("stripe\x06\x169", "c")
    presence.tell("one@here", ["stripe"])
    lined_up = "INSERT INTO lane_entries VALUES ('stripe', :user, now(), :user, 'one')"
    change(lined_up, user=caller.user_id)
    page = client.get("/metrics").get_data(as_text=True)
    assert 'playalter_queue_workers{queue="stripe"} 1.0' in page
    assert 'playalter_queue_workers{queue="vercel"} 0.0' in page
    assert re.search(
        r'playalter_http_requests_total\{method="GET",'
        r'route="/v1/workflows/<uuid:workflow_id>",status="200"\} [1-9]',
        page,
    )
    assert 'playalter_queue_messages{queue="stripe"} 3.0' in page
    assert 'playalter_queue_lined_up{queue="stripe"} 1.0' in page
    assert 'playalter_queue_lined_up{queue="vercel"} 0.0' in page
    assert 'playalter_live_workflows{status="running"} 1.0' in page


def test_open_batches_are_counted_and_shown_to_operators(
    client: FlaskClient, caller: Caller
) -> None:
    operator = Caller(*keys.create_key("root@example.com", is_admin=True))
    change("SELECT report_platform_v1('openai', 'no credit')")
    change(
        "INSERT INTO batches (organisation_id, platform, endpoint, model, lines, bytes, error)"
        " SELECT id, 'openai', '/v1/responses', 'a', 3, 9, 'no credit' FROM organisations LIMIT 1"
    )
    page = client.get("/metrics").get_data(as_text=True)
    assert 'playalter_open_batches{state="gathered"} 1.0' in page
    assert 'playalter_batch_lines{state="sent"} 3.0' in page
    assert 'playalter_batch_lines{state="waiting"} 0.0' in page
    (seen,) = client.get("/v1/platforms", headers=operator.headers).json["items"]  # type: ignore[index]
    (batch,) = seen["batches"]
    assert (batch["state"], batch["batches"], batch["lines"]) == ("gathered", 1, 3)
    assert batch["error"] == "no credit"
    (hidden,) = client.get("/v1/platforms", headers=caller.headers).json["items"]  # type: ignore[index]
    assert hidden["batches"] is None


def test_invented_methods_share_one_label(client: FlaskClient) -> None:
    for number in range(50):
        client.open("/healthz", method=f"INVENTED{number}")
    page = client.get("/metrics").get_data(as_text=True)
    assert "INVENTED" not in page
    assert re.search(r'playalter_http_requests_total\{method="other",.*status="405"\} [1-9]', page)


def test_metrics_are_shown_without_the_stores(settings: Settings) -> None:
    lost = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    answer = create_app(lost).test_client().get("/metrics")
    assert answer.status_code == 200
    assert b"playalter_live_workflows" in answer.data
    assert b"playalter_queue_messages{" not in answer.data


def test_the_description_is_openapi_3_1_and_whole(client: FlaskClient) -> None:
    document = client.get("/openapi/openapi.json").json
    assert document is not None
    assert document["openapi"] == "3.1.0"
    assert {"/v1/workflows", "/v1/artifacts", "/hooks/{platform}"} <= set(document["paths"])
    names = set(document["components"]["schemas"])
    references = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert references <= names, references - names
    start = document["paths"]["/v1/workflows"]["post"]
    assert {"200", "201", "400", "401", "409", "413", "415", "422"} <= set(start["responses"])
    assert set(start["responses"]["422"]["content"]) == {"application/problem+json"}
    assert {parameter["name"] for parameter in start["parameters"]} == {"Idempotency-Key"}
    operations = [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in {"get", "post"}
    ]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("page", ["/openapi/", "/openapi/swagger", "/openapi/redoc"])
def test_the_pages_load_nothing_from_elsewhere(client: FlaskClient, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    html = re.sub("<!--.*?-->", "", answer.get_data(as_text=True))
    linked = re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", html)
    assert not [link for link in linked if link.startswith(("http", "//"))]
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for link in linked:
        if link.startswith(("/", "static", "swagger", "redoc")) and "." in link:
            assert client.get(f"/openapi/{link}" if link[0] != "/" else link).status_code == 200
