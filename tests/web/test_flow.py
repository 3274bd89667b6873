"""What flow control has decided is said in the answer to a start."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.identity import keys
from chains.catalogue import versions
from tests import forked
from tests.integration.driving import pass_time
from tests.integration.flow.samples import admit
from tests.unit.definitions import noop
from tests.web.conftest import Caller
from web.schemas.flow import FlowState

Ask = Callable[..., TestResponse]


@pytest.fixture
def start(client: FlaskClient, caller: Caller) -> Ask:
    """Start a workflow of a definition with this flow control."""

    def ask(key: str, flow: dict[str, Any], **given: Any) -> TestResponse:
        versions.register({"name": "sample", "do": noop("a"), "flow": flow}, activates=True)
        headers = caller.headers | {"Idempotency-Key": key}
        return client.post(
            "/v1/workflows", json={"type": "sample", "input": given}, headers=headers
        )

    return ask


def test_start_beyond_a_rate_limit_is_answered_429_with_the_time_of_the_next(start: Ask) -> None:
    flow = {"rate_limit": {"limit": 1, "period": "1h"}}
    assert start("one", flow).status_code == 201
    refused = start("two", flow)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")  # type: ignore[index]
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    assert "nothing was started" in refused.get_data(as_text=True)
    again = start("one", flow)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")


def test_start_that_is_gathered_is_accepted_with_the_workflow_and_its_time(start: Ask) -> None:
    flow = {"debounce": {"period": "1h"}}
    first, second = start("one", flow, n=1), start("two", flow, n=2)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json is not None
    assert second.json is not None
    assert [first.json[name] for name in ("status", "flow", "created")] == [
        *("pending", "waits", True),
    ]
    assert [second.json[name] for name in ("id", "flow", "created")] == [
        *(first.json["id"], "joined", False),
    ]
    assert second.json["starts_at"] > first.json["starts_at"]
    assert second.headers["Location"] == f"/v1/workflows/{first.json['id']}"
    again = start("two", flow, n=2)
    assert (again.status_code, again.json["id"]) == (200, first.json["id"])  # type: ignore[index]
    assert start("two", flow, n=3).status_code == 409


def test_start_that_a_singleton_has_skipped_names_the_live_workflow(start: Ask) -> None:
    flow = {"singleton": {"mode": "skip", "key": "input.n"}}
    first, second = start("one", flow, n=1), start("two", flow, n=1, more=True)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json is not None
    assert second.json is not None
    assert second.json["id"] == first.json["id"]
    assert (second.json["created"], second.json["flow"]) == (False, "live")
    assert "Idempotent-Replayed" not in second.headers


def test_key_that_cannot_be_used_is_refused_with_the_reason(start: Ask) -> None:
    refused = start("one", {"singleton": {"mode": "skip", "key": "input.n"}})
    assert refused.status_code == 422
    assert refused.json is not None
    assert refused.json["code"] == "flow_key_invalid"
    assert refused.json["errors"][0]["pointer"] == "/input"


def test_start_within_bounds_how_long_flow_control_lets_a_workflow_wait(
    client: FlaskClient, caller: Caller
) -> None:
    def ask(name: str, flow: dict[str, Any] | None) -> TestResponse:
        rest = {} if flow is None else {"flow": flow}
        versions.register({"name": name, "do": noop("a"), **rest}, activates=True)
        body = {"type": name, "input": {}, "start_within": "10m"}
        return client.post("/v1/workflows", json=body, headers=caller.headers)

    limit = {"concurrency": [{"limit": 1}]}
    ask("limited", limit)
    admit()
    waiting = ask("limited", limit)
    assert waiting.status_code == 202
    # Without anything to wait for, it begins at once, and without a bound.
    for name, flow in (("free", None), ("single", {"singleton": {"mode": "skip"}})):
        begun = ask(name, flow)
        assert (begun.status_code, begun.json["status"]) == (201, "running")  # type: ignore[index]
    gathers = ask("gathered", {"debounce": {"period": "1s"}})
    assert gathers.status_code == 422
    assert gathers.json is not None
    assert gathers.json["errors"][0]["pointer"] == "/start_within"
    pass_time("11 minutes")
    shown = client.get(waiting.headers["Location"], headers=caller.headers).json
    assert shown is not None
    assert (shown["status"], shown["error"]["code"]) == ("failed", "not_started")


def flow_of(client: FlaskClient, who: Caller, **query: Any) -> FlowState:
    answer = client.get("/v1/flow", headers=who.headers, query_string=query)
    assert answer.status_code == 200, answer.json
    return FlowState.model_validate(answer.json, strict=False)


def test_waiting_workflow_says_why_it_waits_and_at_which_position(
    client: FlaskClient, caller: Caller, start: Ask
) -> None:
    flow = {"concurrency": [{"limit": 1, "key": "input.user"}]}
    answers = [start(str(n), flow, user="ada", n=n) for n in range(3)]
    assert [each.status_code for each in answers] == [202] * 3
    admit()
    ids = [each.json["id"] for each in answers]  # type: ignore[index]
    shown: list[Any] = [
        client.get(f"/v1/workflows/{id}", headers=caller.headers).json for id in ids
    ]
    assert [each["status"] for each in shown] == ["running", "pending", "pending"]
    assert [each["start"] and each["start"]["position"] for each in shown] == [None, 1, 2]
    full = {"scope": "definition", "name": "sample", "key": "input.user=ada"}
    assert shown[2]["start"]["blocked_by"] == full
    later = start("later", flow, user="ada")
    assert later.json is not None
    assert later.json["start"]["position"] == 3


def test_flow_control_is_shown_to_users_and_to_operators(
    client: FlaskClient, caller: Caller, stranger: Caller, start: Ask
) -> None:
    operator = Caller(*keys.create_key("root@example.com", is_admin=True))
    limited = {"concurrency": [{"limit": 1}], "rate_limit": {"limit": 9, "period": "1h"}}
    for n in range(2):
        start(str(n), limited)
    admit()
    batch = start("item", {"batch": {"size": 9, "timeout": "1h", "key": "input.to"}}, to="bob")
    found = flow_of(client, caller)
    assert [(each.type, each.waiting) for each in found.waiting] == [("sample", 1)]
    (open_batch,) = found.gatherings
    assert (str(open_batch.workflow_id), open_batch.key, open_batch.items) == (
        *(batch.json["id"], "bob", 1),  # type: ignore[index]
    )
    assert (found.limits, found.lanes, found.rates) == (None, None, None)
    assert flow_of(client, stranger) == FlowState(
        waiting=[], gatherings=[], limits=None, lanes=None, rates=None
    )
    seen = flow_of(client, operator)
    assert seen.limits is not None
    assert seen.lanes is not None
    assert seen.rates is not None
    assert [(each.name, each.held, each.most) for each in seen.limits] == [("sample", 1, 1)]
    assert [(each.definition, each.waiting) for each in seen.lanes] == [("sample", 1)]
    assert [each.type for each in seen.rates] == ["sample"]
    assert len(seen.gatherings) == 1
    assert flow_of(client, operator, definition="other").lanes == []


def test_limits_of_a_definition_are_all_that_its_starts_wait_for(
    client: FlaskClient, start: Ask
) -> None:
    operator = Caller(*keys.create_key("root@example.com", is_admin=True))
    shared = {"limit": 1, "scope": "account", "name": "video"}
    start("one", {"concurrency": [{"limit": 5}, shared], "throttle": {"limit": 9, "period": "1s"}})
    admit()
    seen = flow_of(client, operator, definition="sample").limits
    assert seen is not None
    assert sorted((each.scope, each.name) for each in seen) == [
        *(("account", "video"), ("definition", "sample"), ("throttle", "sample")),
    ]
    assert flow_of(client, operator, definition="video").limits == []


def test_commands_show_flow_control_in_words(server: str, caller: Caller, start: Ask) -> None:
    operator = Caller(*keys.create_key("root@example.com", is_admin=True))
    limited = {"concurrency": [{"limit": 1}], "rate_limit": {"limit": 9, "period": "1h"}}
    ids = [start(str(n), limited).json["id"] for n in range(2)]  # type: ignore[index]
    admit()

    def run(who: Caller, *words: str) -> str:
        variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": who.key}
        seen = forked.playalter(*words, **variables)
        assert (seen.returncode, seen.stderr) == (0, "")
        return seen.stdout

    assert run(caller, "flow").splitlines()[0] == "waiting:"
    seen = run(operator, "flow")
    assert "definition sample  1 of 1  1 lanes wait" in seen
    assert f"sample [{caller.user_id}]  1 wait  for definition sample" in seen
    assert "rate limits:\n  sample  all back at 20" in seen
    assert run(operator, "flow", "--definition", "other") == "nothing waits\n"
    assert "waits at position 1, for definition sample" in run(caller, "status", ids[1])
