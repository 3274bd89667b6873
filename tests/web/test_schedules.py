"""Schedules and calendars over HTTP."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import db
from app.identity import keys
from chains import definitions
from chains.catalogue import versions
from chains.firing.fire import fire_due
from tests.unit.definitions import noop
from tests.unit.documents import CHECKOUT, blocks
from tests.web.conftest import Caller, change

HOURLY = {"every": {"hours": 1}}
Ask = Callable[..., Any]


@pytest.fixture
def ask(client: FlaskClient, caller: Caller) -> Ask:
    """Send a request as the user; the JSON of the response, whose status must be `status`."""
    versions.register(
        {
            "name": "greet",
            "do": noop("only"),
            "budget_usd": "0.50",
            "input_schema": {
                "type": "object",
                "properties": {"day": {"type": "string"}},
                "required": ["day"],
            },
        },
        activates=True,
    )

    def ask(method: str, path: str, status: int = 200, *, by: Caller = caller, **body: Any) -> Any:
        headers = by.headers | body.pop("headers", {})
        sent = body or ({} if method in {"POST", "PUT"} else None)
        answer = client.open(f"/v1/{path}", method=method, json=sent, headers=headers)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json(silent=True)

    return ask


def create(ask: Ask, name: str = "daily", status: int = 201, **more: Any) -> Any:
    body = {"type": "greet", "spec": HOURLY, "input": {"day": {"$": "scheduled_at"}}}
    return ask("POST", "schedules", status, **{"name": name, **body, **more})


def due(hours: int = 1) -> None:
    """Let the last hours be due, and fire."""
    change(
        "UPDATE schedules SET seen_to = date_trunc('hour', playalter_now()) - :n * interval '1 h',"
        " fires_at = playalter_now() WHERE paused_at IS NULL",
        n=hours,
    )
    fire_due()


def test_a_schedule_is_created_listed_and_shown_with_its_next_times(ask: Ask) -> None:
    made = create(ask)
    assert (made["kind"], made["overlap"], made["catch_up_seconds"]) == ("user", "skip", 7200)
    assert made["next_at"] == made["due_at"] == made["next"][0]["at"]
    assert len(made["next"]) == 10
    assert made["last"] == []
    create(ask, "zweiter")
    page = ask("GET", "schedules?limit=1")
    assert ([each["name"] for each in page["items"]], page["next_cursor"]) == (["daily"], "daily")
    rest = ask("GET", "schedules?cursor=daily")
    assert ([each["name"] for each in rest["items"]], rest["next_cursor"]) == (["zweiter"], None)
    assert ask("GET", "schedules/daily") == made
    assert ask("GET", "schedules/daily/next?count=3")["items"] == made["next"][:3]


def test_what_became_of_its_times_is_shown_and_counted(ask: Ask) -> None:
    create(ask, catch_up_seconds=86_400)
    due(3)
    shown = ask("GET", "schedules/daily")
    assert [(each["outcome"], each["times"]) for each in shown["last"]] == [
        ("skipped", 2),
        ("started", 1),
    ]
    assert {name: shown[name] for name in ("started", "skipped", "running", "waiting")} == {
        "started": 1,
        "skipped": 2,
        "running": 1,
        "waiting": 0,
    }
    workflow = ask("GET", f"workflows/{shown['last'][1]['workflow_id']}")
    assert workflow["input"]["day"][:19] == shown["last"][1]["nominal_at"][:19]
    page = ask("GET", "schedules/daily/runs?limit=1")
    assert page["items"][0]["outcome"] == "skipped"
    rest = ask("GET", f"schedules/daily/runs?cursor={page['next_cursor']}")
    assert [each["outcome"] for each in rest["items"]] == ["started"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"spec": {"cron": "61 * * * *"}}, "/spec/cron"),
    ({"spec": {}}, "/spec"),
    ({"spec": {"every": "1h", "time_zone": "Mars/Olympus"}}, "/spec/time_zone"),
    ({"spec": {"every": "1h", "calendar": {"name": "none"}}}, "/spec/calendar"),
    ({"type": "no_such"}, "/type"),
    ({"version": 7}, "/version"),
    ({"input": {}}, "/input"),
    ({"input": {"day": {"$": "input.day"}}}, "/input/day"),
    ({"input": {"day": {"$": "scheduled_at ||"}}}, "/input/day"),
    ({"input": {"day": 7}}, "/input/day"),
    ({"overlap": "perhaps"}, "/overlap"),
    ({"catch_up_seconds": 1}, "/catch_up_seconds"),
    ({"name": "Not a name"}, "/name"),
    ({"colour": "red"}, "/colour"),
]


def test_what_is_wrong_is_refused_with_its_place(ask: Ask) -> None:
    for more, pointer in WRONG:
        problem = create(ask, status=422, **more)
        assert problem["errors"][0]["pointer"].startswith(pointer), (more, problem)
    assert ask("GET", "schedules")["items"] == []


@pytest.mark.parametrize(
    "past", [{"times": ["2026-01-01T00:00:00Z"]}, HOURLY | {"ends_at": "2026-01-01T00:00:00Z"}]
)
def test_a_schedule_whose_times_are_all_past_is_only_created_paused(
    ask: Ask, past: dict[str, Any]
) -> None:
    problem = create(ask, status=422, spec=past)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("times_past", "/spec")
    assert create(ask, spec=past, paused="for a backfill")["next_at"] is None


def test_a_name_is_used_once_by_each_user(ask: Ask, stranger: Caller) -> None:
    create(ask)
    assert create(ask, status=409)["code"] == "schedule_exists"
    create(ask, by=stranger)
    for method, path in (
        ("GET", "schedules/other"),
        ("DELETE", "schedules/other"),
        ("POST", "schedules/other/run"),
        ("POST", "schedules/other/resume"),
        ("GET", "schedules/other/next"),
        ("GET", "schedules/other/runs"),
    ):
        ask(method, path, 404)
    create(ask, "own")
    ask("GET", "schedules/own", 404, by=stranger)


def test_a_change_replaces_the_schedule_and_is_on_record(ask: Ask, caller: Caller) -> None:
    made = create(ask)
    given = {"type": "greet", "input": {"day": "x"}, "spec": {"every": {"hours": 2}}}
    changed = ask("PUT", "schedules/daily", **given, overlap="buffer_one")
    assert changed["id"] == made["id"]
    assert (changed["overlap"], changed["spec"]) == ("buffer_one", {"every": {"hours": 2}})
    assert ask("PUT", "schedules/daily", 422, type="greet", spec=HOURLY)["errors"]
    ask("PUT", "schedules/other", 404, **given)
    events = ask("GET", "schedules/daily/events")["items"]
    assert [each["type"] for each in events] == ["ScheduleChanged", "ScheduleCreated"]
    assert events[0]["data"] == {"changed": ["input", "spec", "overlap", "catch_up_seconds"]}
    assert events[0]["by"] == str(caller.user_id)


def test_times_that_were_due_before_a_change_are_discarded(ask: Ask) -> None:
    create(ask, catch_up_seconds=86_400)
    change("UPDATE schedules SET seen_to = seen_to - interval '5 hours'")
    ask("PUT", "schedules/daily", type="greet", input={"day": "x"}, spec={"every": {"hours": 3}})
    fire_due()
    assert ask("GET", "schedules/daily")["last"] == []


def test_a_pause_has_a_note_and_is_not_made_up_for(ask: Ask) -> None:
    create(ask, overlap="buffer_all", catch_up_seconds=86_400)
    due(2)
    ask("POST", "schedules/daily/pause", 422)
    paused = ask("POST", "schedules/daily/pause", note="a holiday")
    assert (paused["is_paused"], paused["paused_note"], paused["next_at"]) == (
        True,
        "a holiday",
        None,
    )
    assert [each["outcome"] for each in paused["last"]] == ["dropped", "started"]
    assert len(paused["next"]) == 10
    assert ask("POST", "schedules/daily/pause", 409, note="x")["code"] == "already_paused"
    change("UPDATE schedules SET seen_to = seen_to - interval '9 hours'")
    resumed = ask("POST", "schedules/daily/resume", note="back")
    assert resumed["next_at"] == resumed["next"][0]["at"]
    fire_due()
    assert len(ask("GET", "schedules/daily")["last"]) == 2
    assert ask("POST", "schedules/daily/resume", 409)["code"] == "not_paused"


def test_a_schedule_may_be_created_paused(ask: Ask) -> None:
    made = create(ask, paused="not yet")
    assert (made["is_paused"], made["next_at"]) == (True, None)


def test_a_deleted_schedule_leaves_its_workflows_and_its_record(ask: Ask) -> None:
    made = create(ask)
    due()
    ask("DELETE", "schedules/daily", 204)
    ask("GET", "schedules/daily", 404)
    assert len(ask("GET", "workflows")["items"]) == 1
    rows = db.rows("SELECT type FROM schedule_events WHERE schedule_id = %s ORDER BY id",
                   (made["id"],))  # fmt: skip
    assert [row["type"] for row in rows] == ["ScheduleCreated", "ScheduleDeleted"]
    assert db.rows("SELECT 1 FROM schedule_runs", ()) == []
    create(ask)


def test_a_schedule_is_run_now_by_its_policy_or_another(ask: Ask) -> None:
    create(ask, paused="manual only")
    key = {"Idempotency-Key": "once"}
    ran = ask("POST", "schedules/daily/run", 201, headers=key)
    assert ran["outcome"] == "started"
    assert datetime.fromisoformat(ran["nominal_at"]).microsecond == 0
    assert ask("POST", "schedules/daily/run", 200, headers=key) == ran
    assert ask("POST", "schedules/daily/run", 201)["outcome"] == "skipped"
    assert ask("POST", "schedules/daily/run", 201, overlap="buffer_one")["outcome"] == "buffered"
    assert ask("POST", "schedules/daily/run", 201, overlap="allow_all")["outcome"] == "started"
    assert len(ask("GET", "workflows")["items"]) == 2


def test_a_run_that_the_definition_refuses_starts_nothing(ask: Ask) -> None:
    create(ask)
    change("UPDATE schedules SET input = '{}', spec_version = spec_version + 1")
    assert ask("POST", "schedules/daily/run", 422)["errors"]
    assert ask("GET", "schedules/daily")["last"] == []


def _span(hours: int) -> dict[str, str]:
    row = db.row(
        "SELECT utc_text(h) AS until, utc_text(h - %s * interval '1 hour') AS after"
        " FROM date_trunc('hour', clock_timestamp()) AS h",
        (hours,),
    )
    assert row is not None
    return {"after": row["after"], "until": row["until"]}


def test_a_backfill_is_estimated_first_and_has_its_own_policy(ask: Ask) -> None:
    create(ask)
    span = _span(25)
    found = ask("POST", "schedules/daily/backfills", **span)
    assert found == {"times": 25, "cost_micro_usd": None, "most_micro_usd": 12_500_000, "id": None}
    assert ask("POST", "schedules/daily/backfills", 409, **span, times=9)["code"] == "other_count"
    begun = ask("POST", "schedules/daily/backfills", 202, **span, times=25, overlap="allow_all")
    for started in (10, 20, 25):
        change("UPDATE schedules SET fires_at = playalter_now() WHERE fires_at IS NOT NULL")
        fire_due()
        assert ask("GET", "schedules/daily")["running"] == started
    (shown,) = ask("GET", "schedules/daily/backfills")["items"]
    assert (shown["id"], shown["done_to"]) == (begun["id"], shown["until"])
    assert shown["ended_at"] is not None
    due(3)
    assert ask("GET", "schedules/daily")["started"] == 25, "the same times start nothing again"


def test_a_backfill_leaves_the_turn_to_the_regular_times(ask: Ask) -> None:
    create(ask, catch_up_seconds=86_400)
    ask("POST", "schedules/daily/backfills", 202, **_span(30), times=30)
    fire_due()
    shown = ask("GET", "schedules/daily")
    assert (shown["running"], shown["waiting"]) == (1, 9)
    change("UPDATE schedules SET seen_to = seen_to - interval '1 hour', fires_at = playalter_now()")
    fire_due()
    last = ask("GET", "schedules/daily/runs")["items"]
    regular = [each for each in last if each["kind"] == "regular"]
    assert [each["outcome"] for each in regular] == ["buffered"], "skip would lose it"
    change(
        "UPDATE schedule_runs SET ended_at = clock_timestamp(), ended_as = 'succeeded'"
        " WHERE outcome = 'started'"
    )
    fire_due()
    last = ask("GET", "schedules/daily/runs")["items"]
    running = [each for each in last if each["outcome"] == "started" and not each["ended_at"]]
    assert [each["kind"] for each in running] == ["regular"]


def test_a_backfill_that_is_ended_starts_nothing_more(ask: Ask) -> None:
    create(ask)
    begun = ask("POST", "schedules/daily/backfills", 202, **_span(30), times=30)
    fire_due()
    ask("DELETE", f"schedules/daily/backfills/{begun['id']}", 204)
    ask("DELETE", f"schedules/daily/backfills/{begun['id']}", 409)
    ask("DELETE", "schedules/daily/backfills/999", 404)
    change("UPDATE schedules SET fires_at = playalter_now()")
    fire_due()
    shown = ask("GET", "schedules/daily")
    assert (shown["started"], shown["waiting"], shown["dropped"]) == (1, 0, 9)


def test_a_span_that_cannot_be_backfilled_is_refused(ask: Ask) -> None:
    create(ask)
    for after, until, pointer in (
        ("2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "/until"),
        ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", "/after"),
        ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "/after"),
        ("2020-01-01T00:00:00", "2026-01-01T00:00:00Z", "/after"),
    ):
        problem = ask("POST", "schedules/daily/backfills", 422, after=after, until=until)
        assert problem["errors"][0]["pointer"] == pointer


def test_times_are_previewed_without_a_schedule(ask: Ask) -> None:
    spec = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
    found = ask("POST", "schedules/preview?count=3&after=2026-03-28T00:00:00Z", spec=spec)
    assert [each["local"] for each in found["items"]] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert ask("POST", "schedules/preview", 422, spec={"cron": "x"})["errors"]


def test_a_calendar_moves_the_times_of_its_schedules(ask: Ask) -> None:
    empty = ask("PUT", "calendars/holidays", 201, dates=[])
    assert (empty["dates"], empty["moved"]) == ([], 0)
    spec = {"cron": "0 9 * * *", "calendar": {"name": "holidays", "on_free_day": "skip"}}
    made = create(ask, spec=spec)
    first = made["next"][0]["at"]
    written = ask("PUT", "calendars/holidays", dates=[first[:10]])
    assert (written["dates"], written["schedules"]) == ([first[:10]], ["daily"])
    assert (written["moved"], written["ended_backfills"]) == (1, 0)
    shown = ask("GET", "schedules/daily")
    assert shown["next_at"] == shown["next"][0]["at"] == made["next"][1]["at"]
    assert ask("DELETE", "calendars/holidays", 409)["code"] == "calendar_in_use"
    assert [each["name"] for each in ask("GET", "calendars")["items"]] == ["holidays"]
    ask("DELETE", "schedules/daily", 204)
    ask("DELETE", "calendars/holidays", 204)
    ask("GET", "calendars/holidays", 404)
    assert ask("PUT", "calendars/holidays", 422, dates=["2026-13-01"])["errors"]


def test_an_operator_also_sees_the_jobs_of_the_system(ask: Ask) -> None:
    admin = Caller(*keys.create_key("ops@example.com", is_admin=True))
    items = ask("GET", "schedules", by=admin)["items"]
    assert [(each["kind"], each["name"]) for each in items] == [
        ("system", "archive"),
        ("system", "carry_batches"),
        ("system", "clean_batches"),
        ("system", "clean_events_in"),
        ("system", "clean_flow"),
        ("system", "clean_results"),
        ("system", "clean_schedules"),
        ("system", "clean_starts"),
        ("system", "clean_uploads"),
        ("system", "forget_payments"),
        ("system", "forget_webhooks"),
        ("system", "probe_platforms"),
        ("system", "reconcile_money"),
        ("system", "warn_of_models"),
    ]
    assert items[-3]["every_seconds"] == 60
    assert ask("GET", "schedules")["items"] == []


def test_the_schedules_of_the_guide_can_be_created(ask: Ask) -> None:
    for body in definitions.ALL:
        versions.register(body)
    examples = blocks(CHECKOUT / "ops" / "guide" / "schedules.md", "json")
    made = [ask("POST", "schedules", 201, **json.loads(each)) for each in examples]
    assert [len(each["next"]) for each in made] == [10, 10, 2]
    ran = ask("POST", "schedules/every_morning/run", 201)
    assert ask("GET", f"workflows/{ran['workflow_id']}")["input"]["by"] == "every_morning"
