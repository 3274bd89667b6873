"""Predictions: what creates them, their deadlines, outputs of every shape, and their lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from replicate.client import Client

from ops.sandbox.replicate import gallery
from ops.sandbox.replicate.models import Model
from tests.sandbox.replicate.asking import HELLO, HELLO_BODY, advance, picture, settled
from tests.sandbox.replicate.conftest import Plain
from tests.sandbox.running import Catcher, Sandbox, until


def seconds_between(made: Any, one: str, other: str) -> float:
    times = [datetime.fromisoformat(made[name]) for name in (one, other)]
    return (times[1] - times[0]).total_seconds()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30s", 30), ("5m", 300), ("2h30m", 9000), ("1h30m45s", 5445), ("30", 30), ("5s", 5)],
)
def test_a_deadline_is_counted_from_the_creation(plain: Plain, given: str, seconds: int) -> None:
    made = plain.post("/predictions", HELLO_BODY, Cancel_After=given)
    assert seconds_between(made, "created_at", "deadline") == seconds


@pytest.mark.parametrize("given", ["4s", "0", "s", "5x", "-5s", "1.5m", "30s5m", "1d", "5 m", "m5"])
def test_a_wrong_deadline_is_refused(sandbox: Sandbox, plain: Plain, given: str) -> None:
    problem = plain.refused("POST", "/predictions", HELLO_BODY, Cancel_After=given)
    assert (problem["status"], problem["invalid_fields"][0]["field"]) == (422, "Cancel-After")
    assert sandbox.books()["predictions"] == 0


def test_a_prediction_whose_deadline_comes_before_its_start_is_aborted(
    sandbox: Sandbox, plain: Plain, catcher: Catcher
) -> None:
    sandbox.settings(replicate__start_seconds=600)
    body = HELLO_BODY | {"webhook": f"{catcher.url}/mine", "webhook_events_filter": ["completed"]}
    made = plain.post("/predictions", body, Cancel_After="30s")
    advance(sandbox, 29)
    assert plain.get(made["urls"]["get"])["status"] == "starting"
    advance(sandbox, 1)
    ended = settled(plain, made)
    assert (ended["status"], ended["output"], ended["error"]) == ("aborted", None, None)
    assert "started_at" not in ended
    assert "predict_time" not in ended["metrics"]
    assert seconds_between(ended, "deadline", "completed_at") >= 0
    until(lambda: catcher.events("/mine"))
    assert [each["status"] for each in catcher.events("/mine")] == ["aborted"]
    assert sandbox.books()["predictions_aborted"] == 1
    assert plain.post(f"/predictions/{made['id']}/cancel")["status"] == "aborted"


def test_a_prediction_whose_deadline_comes_while_it_runs_is_canceled(
    sandbox: Sandbox, plain: Plain
) -> None:
    sandbox.settings(replicate__hold=True)
    made = settled(plain, plain.post("/predictions", HELLO_BODY, Cancel_After="1m"), "processing")
    advance(sandbox, 60)
    ended = settled(plain, made)
    assert (ended["status"], ended["output"]) == ("canceled", None)
    assert ended["metrics"]["predict_time"] > 0
    sandbox.settings(replicate__hold=False)
    assert plain.get(made["urls"]["get"])["status"] == "canceled"
    assert sandbox.books()["predictions_canceled"] == 1


def test_a_deadline_after_the_end_changes_nothing(sandbox: Sandbox, plain: Plain) -> None:
    made = plain.post("/predictions", HELLO_BODY, Cancel_After="30s", Prefer="wait")
    assert made["status"] == "succeeded"
    advance(sandbox, 60)
    assert plain.get(made["urls"]["get"])["output"] == "hello Ada"


def test_an_official_model_is_named_without_a_version(
    sandbox: Sandbox, plain: Plain, replicate_client: Client
) -> None:
    name, given = gallery.PAINTER.full_name, {"prompt": "red"}
    made = plain.post("/predictions", {"version": name, "input": given}, Prefer="wait")
    assert (made["model"], made["version"]) == (name, "hidden")
    by_model = replicate_client.models.predictions.create(name, given, wait=10)
    assert (by_model.version, by_model.status) == ("hidden", "succeeded")
    by_id = {"version": gallery.PAINTER.version, "input": given}
    assert plain.post("/predictions", by_id)["version"] == "hidden"
    # Every other model is named by a version.
    body = {"version": gallery.HELLO_WORLD.full_name, "input": {"text": "a"}}
    assert (
        plain.refused("POST", "/predictions", body)["title"] == "Invalid version or not permitted"
    )
    del body["version"]
    path = f"/models/{gallery.HELLO_WORLD.full_name}/predictions"
    assert plain.refused("POST", path, body)["status"] == 404
    assert plain.get(f"/models/{name}")["is_official"]
    assert plain.get(f"/models/{name}")["run_count"] == 3


@pytest.mark.parametrize(
    ("model", "given", "form"),
    [
        (gallery.HELLO_WORLD, {"text": "Ada"}, "hello Ada"),
        (gallery.WORDS, {"prompt": "one two three"}, ["one", " two", " three"]),
        (gallery.VARIANTS, {"image": picture(), "count": 3}, ["http", "http", "http"]),
        (gallery.MEASURE, {"image": picture()}, {"width": 40, "height": 30, "grey": "http"}),
        (gallery.THUMBNAIL, {"image": picture()}, "data:image/png;base64,"),
        (gallery.SILENCE, {}, None),
        (gallery.PAINTER, {"prompt": "blue"}, ["http"]),
    ],
    ids=lambda each: each.name if isinstance(each, Model) else "",
)
def test_an_output_has_the_shape_of_its_model(
    plain: Plain, model: Model, given: Any, form: Any, http: requests.Session
) -> None:
    made = plain.post("/predictions", {"version": model.version, "input": given}, Prefer="wait")
    assert (made["status"], made["error"]) == ("succeeded", None)
    assert fits(made["output"], form), made["output"]
    for address in addresses(made["output"]):
        assert http.get(address, timeout=10).headers["Content-Type"] == "image/png"
    assert ("stream" in made["urls"]) == (model is gallery.WORDS)


def fits(output: Any, form: Any) -> bool:
    if isinstance(form, list):
        pairs = zip(output, form, strict=True)
        return len(output) == len(form) and all(fits(*pair) for pair in pairs)
    if isinstance(form, dict):
        return all(fits(output[name], each) for name, each in form.items())
    return bool(output.startswith(form)) if isinstance(form, str) else bool(output == form)


def addresses(output: Any) -> list[str]:
    inner = output.values() if isinstance(output, dict) else output
    if isinstance(output, str):
        return [output] if output.startswith("http") else []
    return (
        [each for one in inner for each in addresses(one)]
        if isinstance(output, (list, dict))
        else []
    )


def test_the_texts_of_a_stream_are_followed_while_they_are_made(
    sandbox: Sandbox, plain: Plain, replicate_client: Client, catcher: Catcher
) -> None:
    given = {"prompt": "a b c d e f"}
    hook: Any = {"webhook": f"{catcher.url}/s", "webhook_events_filter": ["output", "completed"]}
    made = replicate_client.predictions.create(gallery.WORDS.version, given, **hook)
    events = list(made.stream())
    assert "".join(each.data for each in events if each.event.value == "output") == "a b c d e f"
    assert [each.event.value for each in events if each.event.value != "output"] == ["done"]
    until(lambda: len(catcher.events("/s")) == 3)
    told = sorted(len(each["output"]) for each in catcher.events("/s"))
    assert told == [2, 6, 6]


def test_the_stream_of_a_prediction_that_failed_ends_with_its_error(
    sandbox: Sandbox, plain: Plain, http: requests.Session
) -> None:
    sandbox.fault(vendor="replicate", operation="predictions.create", kind="fail", error="CUDA")
    body = {"version": gallery.WORDS.version, "input": {"prompt": "a b"}}
    made = plain.post("/predictions", body)
    told = http.get(made["urls"]["stream"], timeout=10)
    assert told.headers["Content-Type"].startswith("text/event-stream")
    assert told.text == (
        'event: error\nid: 1\ndata: {"detail": "CUDA"}\n\n'
        'event: done\nid: 2\ndata: {"reason": "error"}\n\n'
    )
    assert http.get(f"{made['urls']['stream']}x", timeout=10).status_code == 404


def test_what_the_api_made_is_removed_after_an_hour_and_what_the_website_made_is_kept(
    sandbox: Sandbox, plain: Plain, http: requests.Session
) -> None:
    body = {"version": gallery.PAINTER.full_name, "input": {"prompt": "red"}}
    by_api = plain.post("/predictions", body, Prefer="wait")
    sandbox.settings(replicate__source="web")
    by_web = plain.post("/predictions", body, Prefer="wait")
    advance(sandbox, 3590)
    assert not plain.get(by_api["urls"]["get"])["data_removed"]
    advance(sandbox, 20)
    removed = until(lambda: gone(plain.get(by_api["urls"]["get"])))
    assert (removed["output"], removed["input"], removed["logs"]) == (None, {}, "")
    assert http.get(by_api["output"][0], timeout=10).status_code == 404
    assert not plain.get(by_web["urls"]["get"])["data_removed"]
    assert http.get(by_web["output"][0], timeout=10).status_code == 200
    listed = plain.get("/predictions", source="web")["results"]
    assert [each["id"] for each in listed] == [by_web["id"]]
    advance(sandbox, 14 * 86_400)
    assert plain.get("/predictions", source="web")["results"] == []
    assert plain.refused("GET", "/predictions?source=api")["status"] == 400


def gone(seen: Any) -> Any:
    return seen if seen["data_removed"] else None


def test_the_pages_of_a_list_lead_to_each_other(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.settings(replicate__start_seconds=600)
    made = [plain.post("/predictions", HELLO_BODY)["id"] for _ in range(101)][::-1]
    first = plain.get("/predictions")
    second = plain.get(first["next"])
    pages = [[each["id"] for each in page["results"]] for page in (first, second)]
    assert pages == [made[:100], made[100:]]
    assert (first["previous"], second["next"]) == (None, None)
    again = plain.get(second["previous"])
    assert (again["results"], again["previous"]) == (first["results"], None)
    assert plain.get(again["next"])["results"] == second["results"]
    # A new prediction moves no page, and is found on the way back.
    newest = plain.post("/predictions", HELLO_BODY)["id"]
    assert plain.get(first["next"])["results"] == second["results"]
    before = plain.get(plain.get(second["previous"])["previous"])["results"]
    assert [each["id"] for each in before] == [newest]


def test_a_prediction_is_made_in_the_real_time_when_the_sandbox_is_days_ahead(
    sandbox: Sandbox, plain: Plain
) -> None:
    """Who looks for it does so around the time at which the request was sent."""
    advance(sandbox, 3 * 86_400)
    began = datetime.now(UTC)
    made = plain.post("/predictions", HELLO_BODY)
    window = {
        "created_after": began - timedelta(minutes=1),
        "created_before": began + timedelta(minutes=1),
    }
    times = {name: at.isoformat() for name, at in window.items()}
    assert [each["id"] for each in plain.get("/predictions", **times)["results"]] == [made["id"]]
    assert 0 < settled(plain, made)["metrics"]["total_time"] < 60
    advance(sandbox, 3_601)
    assert until(lambda: gone(plain.get(made["urls"]["get"])))


def test_predictions_are_listed_from_a_time_and_before_another(plain: Plain) -> None:
    made = [plain.post("/predictions", HELLO_BODY) for _ in range(3)]
    times = {"created_after": made[1]["created_at"], "created_before": made[2]["created_at"]}
    assert [each["id"] for each in plain.get("/predictions", **times)["results"]] == [made[1]["id"]]


@pytest.mark.parametrize(
    ("change", "field", "kind"),
    [
        ({"colour": 1}, "", "additional_property_not_allowed"),
        ({"version": 5}, "version", "invalid_type"),
        ({"version": None}, "version", "invalid_type"),
        ({"input": []}, "input", "invalid_type"),
        ({"input": {}}, "input", "required"),
        ({"input": {"text": 5}}, "input.text", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"webhook": "mine"}, "webhook", "format"),
        ({"webhook": 5}, "webhook", "invalid_type"),
        ({"webhook_events_filter": "start"}, "webhook_events_filter", "invalid_type"),
        ({"webhook_events_filter": ["end"]}, "webhook_events_filter.0", "enum"),
    ],
)
def test_a_field_that_is_not_as_described_is_named(
    sandbox: Sandbox, plain: Plain, change: Any, field: str, kind: str
) -> None:
    problem = plain.refused("POST", "/predictions", HELLO_BODY | change)
    assert (problem["status"], problem["title"]) == (422, "Input validation failed")
    (fault,) = problem["invalid_fields"]
    assert (fault["field"], fault["type"]) == (field, kind)
    assert fault["description"] in problem["detail"]
    assert sandbox.books()["predictions"] == 0


@pytest.mark.parametrize("prefer", ["wait=0", "wait=100", "wait=", "respond-async", "wait=5s"])
def test_a_wrong_preference_is_refused(plain: Plain, prefer: str) -> None:
    problem = plain.refused("POST", "/predictions", HELLO_BODY, Prefer=prefer)
    assert problem["invalid_fields"][0]["field"] == "Prefer"


@pytest.mark.long  # it waits for a second
def test_a_wait_that_is_too_short_answers_with_what_is_there(
    sandbox: Sandbox, plain: Plain
) -> None:
    sandbox.settings(replicate__hold=True)
    answer = plain("POST", "/predictions", HELLO_BODY, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"input": NaN}', b"[" * 5000, b'{"a": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(plain: Plain, body: bytes) -> None:
    answer = plain("POST", "/predictions", data=body)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad request")


def test_a_prediction_that_ends_badly_gives_the_reason(sandbox: Sandbox, plain: Plain) -> None:
    body = {"version": gallery.MEASURE.version, "input": {"image": "data:image/png;base64,AAAA"}}
    made = plain.post("/predictions", body, Prefer="wait")
    assert (made["status"], made["error"]) == ("failed", "cannot identify image file image")
    assert HELLO not in made["version"]
