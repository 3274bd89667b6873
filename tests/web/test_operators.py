"""An operator, who has an admin key, sees the workflows of all users, but no payloads of others."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from app.identity import keys
from app.settings import Settings
from app.tariffs import current
from ops.cli import playalter
from tests.web.conftest import Caller, change, end
from web.schemas.attention import AttentionPage
from web.schemas.platforms import PlatformList
from web.schemas.workflows import WorkflowDetail, WorkflowPage


@pytest.fixture
def operator(settings: Settings) -> Caller:
    """A user with an admin key."""
    return Caller(*keys.create_key("root@example.com", is_admin=True))


def _get(client: FlaskClient, who: Caller, path: str) -> Any:
    answer = client.get(f"/v1/{path}", headers=who.headers)
    assert answer.status_code == 200, answer.json
    return answer.json


def _ids(page: Any) -> list[str]:
    return [item["id"] for item in page["items"]]


def test_an_operator_lists_the_workflows_of_all_users(
    client: FlaskClient,
    caller: Caller,
    stranger: Caller,
    operator: Caller,
    start: Callable[..., UUID],
) -> None:
    started = [str(start(owner)) for owner in (caller, stranger, operator, caller)]
    end(UUID(started[0]))
    change(
        "UPDATE workflows SET parent_id = :parent WHERE id = :id", parent=started[0], id=started[3]
    )
    page = WorkflowPage.model_validate(_get(client, operator, "workflows"))
    assert [(str(item.id), item.owner) for item in page.items] == [
        (started[3], "ada@example.com"),
        (started[2], "root@example.com"),
        (started[1], "eve@example.com"),
        (started[0], "ada@example.com"),
    ]
    first = _get(client, operator, "workflows?limit=3")
    rest = _get(client, operator, f"workflows?limit=3&cursor={first['next_cursor']}")
    assert _ids(first) + _ids(rest) == started[::-1]
    for query, expected in {
        "status=running": [started[3], started[2], started[1]],
        "status=suspended": [],
        "status=succeeded": [started[0]],
        f"parent_id={started[0]}": [started[3]],
        "is_root=true&type=only_rows": [started[2], started[1], started[0]],
    }.items():
        assert _ids(_get(client, operator, f"workflows?{query}")) == expected, query
    own = _get(client, stranger, "workflows")
    assert _ids(own) == [started[1]]
    assert own["items"][0]["owner"] is None


def test_an_operator_reads_the_state_of_other_users_workflows_without_payloads(
    client: FlaskClient,
    caller: Caller,
    stranger: Caller,
    operator: Caller,
    start: Callable[..., UUID],
) -> None:
    workflow, own = start(caller), start(operator)
    error = '{"code": "input_invalid", "message": "secret is wrong", "field": "/secret"}'
    change(
        "UPDATE steps SET output = '{\"secret\": 1}', error = CAST(:error AS jsonb)", error=error
    )
    change("UPDATE workflows SET error = CAST(:error AS jsonb)", error=error)
    end(workflow)
    seen = _get(client, operator, f"workflows/{workflow}")
    WorkflowDetail.model_validate(seen)
    assert (seen["status"], seen["owner"], seen["error"]) == (
        "succeeded",
        "ada@example.com",
        {"code": "input_invalid"},
    )
    assert {"input", "output"}.isdisjoint(seen)
    assert {"input", "output"}.isdisjoint(seen["steps"][0])
    assert seen["steps"][0]["key"] == "one"
    assert seen["steps"][0]["error"] == {"code": "input_invalid"}
    assert _get(client, caller, f"workflows/{workflow}")["error"]["field"] == "/secret"
    assert _get(client, operator, f"workflows/{own}")["input"] == {"a": 1}
    assert _get(client, caller, f"workflows/{workflow}")["steps"][0]["output"] == {"secret": 1}
    events = _get(client, operator, f"workflows/{workflow}/events")["items"]
    assert [event["type"] for event in events] == ["WorkflowStarted", "WorkflowSucceeded"]
    headers = operator.headers | {"Accept": "text/event-stream"}
    stream = client.get(f"/v1/workflows/{workflow}/events", headers=headers).text
    assert "WorkflowSucceeded" in stream
    for path in (f"workflows/{workflow}", f"workflows/{workflow}/events"):
        assert client.get(f"/v1/{path}", headers=stranger.headers).status_code == 404
    for word in ("cancel", "pause"):
        answer = client.post(f"/v1/workflows/{workflow}/{word}", headers=operator.headers)
        assert answer.status_code == 404, word


def test_an_operator_lists_who_needs_a_person_without_the_requests_of_others(
    client: FlaskClient,
    caller: Caller,
    stranger: Caller,
    operator: Caller,
    start: Callable[..., UUID],
) -> None:
    workflow, own = start(caller), start(operator)
    change("UPDATE workflows SET attention = 'crashing', attention_since = now()")
    change("UPDATE steps SET status = 'unknown', crashes = 5")
    for each in (workflow, own):
        change(
            "INSERT INTO intents (workflow_id, step_key, generation, ordinal, operation, request,"
            " key) VALUES (:id, 'one', 0, 0, 'charge', '{\"card\": 1}', 'k')",
            id=each,
        )
    page = _get(client, operator, "attention")
    AttentionPage.model_validate(page)
    assert [item["owner"] for item in page["items"]] == ["root@example.com", "ada@example.com"]
    (mine,), (others,) = ([*step["open_calls"]] for item in page["items"] for step in item["steps"])
    assert mine["request"] == {"card": 1}
    assert others["operation"] == "charge"
    assert "request" not in others
    assert _get(client, stranger, "attention")["items"] == []
    (seen,) = _get(client, caller, "attention")["items"]
    assert seen["steps"][0]["open_calls"][0]["request"] == {"card": 1}
    assert seen["owner"] is None


def test_the_command_line_shows_an_operator_other_users_workflows(
    server: str, caller: Caller, operator: Caller, start: Callable[..., UUID]
) -> None:
    workflow = start(caller)
    change("UPDATE workflows SET attention = 'crashing', attention_since = now()")
    end(workflow)
    change("INSERT INTO model_ends VALUES ('openai', 'gpt-6-luna', '2026-01-01', 'gpt-7-luna')")
    change("SELECT note_missing_price_v1('openai', 'm', 'pictures', false)")
    current.forget()
    environment = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": operator.key}

    def said(*words: str) -> str:
        ended = CliRunner().invoke(playalter, list(words), env=environment)
        assert ended.exit_code == 0, ended.output
        return ended.output

    for words in (["list"], ["attention"]):
        assert "ada@example.com" in said(*words)
    for line in ("gpt-6-luna has ended on 2026-01-01; choose gpt-7-luna", "set openai m pictures"):
        assert line in said("attention")
    assert str(workflow) in said("status", str(workflow))
    assert said("watch", str(workflow)).endswith("succeeded\n")
    whole = said("status", str(workflow), "--json")
    assert '"owner": "ada@example.com"' in whole
    assert '"input"' not in whole


def test_a_platform_that_refuses_us_is_one_line_of_what_needs_a_person(
    client: FlaskClient,
    caller: Caller,
    stranger: Caller,
    operator: Caller,
    start: Callable[..., UUID],
) -> None:
    for owner in (caller, caller, stranger):
        change(
            "UPDATE steps SET held_since = clock_timestamp(), status = 'pending',"
            " error_code = 'account_restricted', action = 'stripe.authorize',"
            ' error = \'{"message": "stripe has restricted the account"}\''
            " WHERE workflow_id = :id",
            id=start(owner),
        )
    numbers = {caller: 2, stranger: 1, operator: 3}
    for who, number in numbers.items():
        page = AttentionPage.model_validate(_get(client, who, "attention"))
        (told,) = page.platforms
        assert (told.platform, told.reason, told.workflows) == (
            "stripe",
            "account_restricted",
            number,
        )
        assert told.errors == ["stripe has restricted the account"]
        assert page.items == []


_USED = (
    "INSERT INTO allowances (platform, organisation_id, hour, taken, reserved, spent, most, hourly)"
    " SELECT 'replicate', {organisation}, date_trunc('hour', playalter_now(), 'UTC')"
    " - make_interval(hours => {ago}), 2, 30000, 500, 10, 5000000"
)


def test_what_is_used_of_an_allowance_is_shown_and_that_of_all_to_operators_only(
    client: FlaskClient, caller: Caller, operator: Caller, server: str
) -> None:
    change(_USED.format(organisation="'00000000-0000-0000-0000-000000000000'", ago=0))
    owns = "(SELECT organisation_id FROM users WHERE email = 'ada@example.com')"
    change(_USED.format(organisation=owns, ago=1))
    (own,) = PlatformList.model_validate(_get(client, caller, "platforms")).allowances
    # What was spent in an hour that is over counts no more; what still runs has its place.
    assert (own.is_for_all, own.running, own.spent_micro_usd) == (False, 2, 0)
    (whole,) = PlatformList.model_validate(_get(client, operator, "platforms")).allowances
    assert (whole.is_for_all, whole.reserved_micro_usd, whole.most_running) == (True, 30_000, 10)
    page = client.get("/metrics").text
    assert 'playalter_platform_running{platform="replicate"} 2.0' in page
    assert 'playalter_platform_hourly_usd{platform="replicate"} 0.0305' in page
    environment = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": operator.key}
    shown = CliRunner().invoke(playalter, ["platforms"], env=environment)
    assert (
        "replicate, of all: 2 of 10 run; this hour $0.0005 spent, $0.0300 reserved of $5.0000"
        in shown.output
    ), shown.output
