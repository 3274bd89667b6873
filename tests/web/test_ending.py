"""People are told of models that end: attention, metrics, the log, and `playalter prices`."""

import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app import db
from app.identity import keys
from app.settings import Settings
from app.tariffs import current, in_use
from app.tariffs.book import Cost
from app.tariffs.rows import End
from chains.catalogue import models, versions
from chains.repair import housekeeping
from tasks.ending import ending
from tests import forked
from tests.unit.definitions import noop
from tests.web.conftest import Caller

MODEL = "gpt-6-luna"


@pytest.fixture(autouse=True)
def _anew(settings: Settings) -> None:
    current.forget()


def _attention(client: FlaskClient, who: Caller) -> Any:
    answer = client.get("/v1/attention", headers=who.headers)
    assert answer.status_code == 200, answer.json
    return answer.json


def _ends_in(days: str) -> None:
    """Let the caption's model end in a year, and move the clock so that so much is left."""
    row = db.row("SELECT (playalter_now() + interval '365 days')::date AS day", ())
    assert row is not None
    current.keep_end("openai", End(MODEL, row["day"], "gpt-7-luna"))
    db.row(f"INSERT INTO clock_offset (amount) VALUES ('365 days'::interval - '{days}')", ())
    current.forget()


def test_a_model_that_ends_later_is_not_listed(client: FlaskClient, caller: Caller) -> None:
    _ends_in("61 days")
    assert _attention(client, caller)["models"] == []
    assert b"playalter_model_days_left{" not in client.get("/metrics").data
    assert housekeeping.warn_of_models() == {"told": 0}


@pytest.mark.parametrize("days", [60, 0])
def test_a_model_that_ends_is_listed_measured_and_logged_once_a_day(
    client: FlaskClient, caller: Caller, days: int
) -> None:
    _ends_in(f"{days} days")
    (told,) = _attention(client, caller)["models"]
    assert (told["platform"], told["model"], told["days_left"]) == ("openai", MODEL, days)
    assert "choose gpt-7-luna" in told["to_do"]
    line = f'playalter_model_days_left{{model="openai/{MODEL}"}} {days}.0'
    assert line.encode() in client.get("/metrics").data
    with capture_logs() as logs:
        assert [housekeeping.warn_of_models()["told"] for _ in range(2)] == [1, 0]
    (entry,) = [each for each in logs if each["event"].startswith("model.")]
    assert entry["event"] == ("model.ends" if days else "model.has_ended")
    assert entry["successor"] == "gpt-7-luna"
    db.row("UPDATE clock_offset SET amount = amount + interval '1 day'", ())
    current.forget()
    assert housekeeping.warn_of_models() == {"told": 1}


def test_operators_record_the_end_of_a_model_and_take_it_back() -> None:
    def prices(*arguments: str) -> tuple[int, str]:
        ended = forked.playalter("prices", *arguments)
        return ended.returncode, ended.stdout + ended.stderr

    day = str(current.today())
    ended = ("end", "replicate", "acme/swap", day, "--successor", "acme/swap-2")
    assert prices(*ended)[0] == 0
    (warned,) = json.loads(prices("--json", "--platform", "replicate")[1])["warnings"]
    assert warned == f"replicate: the model acme/swap has ended on {day}; use acme/swap-2"
    assert prices("end", "replicate", "acme/swap", "soon")[0] == 2
    assert prices("no-end", "replicate", "acme/swap")[0] == 0
    assert prices("no-end", "replicate", "acme/swap")[0] == 2


def test_what_has_no_price_anywhere_is_listed_for_operators(
    client: FlaskClient, caller: Caller
) -> None:
    gap = (("m", "hours"),)
    current.tell("openai", Cost(0, gap, gap))
    current.tell("openai", Cost(5, (("m", "seconds"),)))
    operator = Caller(*keys.create_key("root@example.com", is_admin=True))
    (told,) = _attention(client, operator)["unpriced"]
    assert (told["platform"], told["item"], told["unit"]) == ("openai", "m", "hours")
    assert _attention(client, caller)["unpriced"] == []


def _swap(model: object) -> dict[str, Any]:
    given = {"source": {"$": "input.a"}, "target": {"$": "input.b"}, "model": model}
    return {"step": "swap", "action": "replicate.predict", "with": given}


def _listed(client: FlaskClient, who: Caller) -> list[str]:
    return [each["model"] for each in _attention(client, who)["models"]]


def test_a_model_that_a_definition_or_a_schedule_names_is_told_of(
    client: FlaskClient, caller: Caller, settings: Settings
) -> None:
    operator = Caller(*keys.create_key("root@example.com", is_admin=True))
    soon = current.today() + timedelta(days=30)
    for model in ("acme/fixed", "acme/undone", "acme/nightly", "acme/nowhere"):
        current.keep_end("replicate", End(model, soon, "acme/next"))
    current.forget()
    other = {"action": "replicate.predict", "with": _swap("acme/undone:5")["with"]}
    fixed = {**_swap("acme/fixed"), "compensation": other}
    versions.register({"name": "fixed", "do": fixed}, activates=True)
    versions.register({"name": "open", "do": _swap({"$": "input.model"})}, activates=True)
    nightly = {
        "name": "nightly",
        "type": "open",
        "spec": {"every": {"hours": 1}},
        "input": {"a": "1", "b": "2", "model": "acme/nightly"},
    }
    answer = client.post("/v1/schedules", json=nightly, headers=caller.headers)
    assert answer.status_code == 201, answer.json
    asked = {"type": "fixed", "input": {"a": "1", "b": "2"}}
    with capture_logs() as logs:
        assert housekeeping.warn_of_models() == {"told": 3}
    told = ["acme/fixed", "acme/nightly", "acme/undone:5"]
    assert sorted(each["model"] for each in logs if each["event"] == "model.ends") == told
    assert _listed(client, operator) == told
    assert b'model_days_left{model="replicate/acme/fixed"} 30.0' in client.get("/metrics").data
    (to_do,) = {each["to_do"] for each in _attention(client, operator)["models"][:1]}
    assert to_do == "choose acme/next in the definitions, schedules and inputs that name acme/fixed"
    # What others name is not for all eyes.
    assert _listed(client, caller) == []
    running = client.post("/v1/workflows", json=asked, headers=caller.headers)
    assert running.status_code == 201, running.json
    versions.register({"name": "fixed", "do": noop("only")}, activates=True)
    # A workflow still runs on the version that was replaced.
    assert ("replicate", "acme/fixed") in models.named()
    db.rows("UPDATE workflows SET completed_at = now() WHERE type = 'fixed' RETURNING 1", ())
    assert ("replicate", "acme/fixed") not in models.named()
    db.row("INSERT INTO clock_offset (amount) VALUES ('2 days')", ())
    current.forget()
    housekeeping.warn_of_models()
    assert _listed(client, operator) == ["acme/nightly"]


def test_each_model_of_a_route_a_judge_and_a_list_is_named(settings: Settings) -> None:
    ask = {"step": "ask", "action": "openai.respond", "with": {
        "input": "x", "route": {"models": ["gpt-a", {"$": "input.model"}, "gpt-b"]},
        "quality": {"judge": {"criteria": "model", "model": "gpt-judge"}}}}  # fmt: skip
    one = {"model": "acme/a", "rename": {"model": "x"}, "constants": {"model": "none"}}
    models_of_swap = [one, {"deployment": "acme/d"}, {"model": "acme/b"}]
    swap = _swap("x")
    swap["with"] = {"source": "1", "target": "2", "models": models_of_swap}
    versions.register({"name": "routed", "do": {"sequence": [ask, swap]}}, activates=True)
    openai = {("openai", each) for each in ("gpt-a", "gpt-b", "gpt-judge")}
    assert models.named() == openai | {("replicate", "acme/a"), ("replicate", "acme/b")}


def test_a_model_that_steps_have_used_lately_is_told_of(settings: Settings) -> None:
    current.keep_end("openai", End("gpt-x", current.today() + timedelta(days=40)))
    current.forget()
    for model in ("gpt-x", "gpt-x-2026-01-31"):
        in_use.note_use("openai", model)
    (told,) = ending()
    assert (told.model, told.days_left, told.is_set) == ("gpt-x", 40, False)
    db.row("INSERT INTO clock_offset (amount) VALUES ('8 days')", ())
    current.forget()
    assert ending() == []
    assert housekeeping.warn_of_models() == {"told": 0}
    assert db.rows("SELECT model FROM models_in_use", ()) == []


def test_a_text_that_is_no_name_of_a_model_hides_no_warning(
    client: FlaskClient, caller: Caller, settings: Settings
) -> None:
    current.keep_end("openai", End(MODEL, current.today() + timedelta(days=9)))
    current.forget()
    versions.register({"name": "open", "do": _swap({"$": "input.model"})}, activates=True)
    # So random a text is too long for a key of PostgreSQL, even compressed.
    longest = "".join(sha256(bytes([number])).hexdigest() for number in range(256))
    nightly = {
        "name": "nightly",
        "type": "open",
        "spec": {"every": {"hours": 1}},
        "input": {"a": "1", "b": "2", "model": longest},
    }
    answer = client.post("/v1/schedules", json=nightly, headers=caller.headers)
    assert answer.status_code == 201, answer.json
    for each in (longest, "acme\0", "acme/\ud800"):
        in_use.note_use("replicate", each)
    assert housekeeping.warn_of_models() == {"told": 1}
    assert in_use.in_use() == []


def test_a_use_that_cannot_be_noted_fails_no_step_and_is_noted_later(settings: Settings) -> None:
    db.row("SELECT set_config('default_transaction_read_only', 'on', false)", ())
    with capture_logs() as logs:
        in_use.note_use("openai", "gpt-x")
    assert [each["event"] for each in logs] == ["model.use_not_noted"]
    db.row("SELECT set_config('default_transaction_read_only', 'off', false)", ())
    in_use.note_use("openai", "gpt-x")
    assert in_use.in_use() == [("openai", "gpt-x")]
