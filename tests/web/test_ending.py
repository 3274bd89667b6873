"""People are told of models that end: attention, metrics, the log, and `playalter prices`."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app import db
from app.identity import keys
from app.settings import Settings
from app.tariffs import current
from app.tariffs.book import Cost
from app.tariffs.rows import End
from chains.repair import housekeeping
from tests import forked
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
