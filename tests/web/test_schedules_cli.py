"""`playalter schedules` and `playalter calendars`, as a person meets them."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from chains.catalogue import versions
from tests import forked
from tests.unit.definitions import noop
from tests.web.conftest import Caller

Run = Callable[..., CompletedProcess[str]]
BODY = {"name": "daily", "type": "greet", "spec": {"cron": "0 9 * * *"}}


@pytest.fixture
def playalter(server: str, caller: Caller) -> Callable[..., str]:
    """The command, which must end well; what it prints."""
    versions.register({"name": "greet", "do": noop("only")}, activates=True)
    run: Run = partial(forked.playalter, PLAYALTER_URL=server, PLAYALTER_API_KEY=caller.key)

    def told(*arguments: str, code: int = 0, given: str = "") -> str:
        ended = run(*arguments, given=given)
        assert ended.returncode == code, ended.stderr
        return ended.stdout if code == 0 else ended.stderr

    return told


def test_a_schedule_from_its_file_to_its_end(playalter: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "daily.json"
    file.write_text(json.dumps(BODY))
    preview = playalter("schedules", "next", str(file), "--count", "2").splitlines()
    assert [line.split()[1] for line in preview] == ["09:00:00Z"] * 2
    created = playalter("schedules", "create", str(file), "--paused", "a holiday")
    assert created.splitlines()[:3] == ["daily created", *preview]
    assert playalter("schedules", "run", "daily").startswith("started ")
    shown = playalter("schedules", "show", "daily")
    assert "a holiday" in shown
    assert "started" in shown
    assert playalter("schedules", "resume", "daily").startswith("resumed; next 20")
    span = ("2026-01-01T00:00:00Z", "2026-01-03T10:00:00Z")
    begun = playalter("schedules", "backfill", "daily", *span, "--yes").splitlines()
    assert begun[0] == "3 times, of unknown cost"
    (line,) = playalter("schedules", "backfills", "daily").splitlines()
    words = "2026-01-01 00:00:00Z to 2026-01-03 10:00:00Z  3 times"
    assert line.split("  ", 1)[1].startswith(words)
    events = playalter("schedules", "events", "daily").splitlines()
    types = [line.split("  ")[1] for line in events]
    assert (types[0], types[-1]) == ("BackfillRequested", "ScheduleCreated")
    assert "daily" in playalter("schedules", "list")
    assert playalter("schedules", "delete", "daily") == "deleted\n"


def test_a_wrong_file_is_refused_with_the_place(playalter: Callable[..., str]) -> None:
    given = json.dumps({**BODY, "spec": {"cron": "0 99 * * *"}})
    assert "/spec/cron" in playalter("schedules", "create", "-", code=2, given=given)


def test_a_calendar_is_written_from_lines(playalter: Callable[..., str]) -> None:
    given = "2026-12-25\n\n2026-12-26\n"
    assert playalter("calendars", "write", "holidays", "-", given=given) == (
        "holidays has 2 dates\n"
    )
    assert playalter("calendars", "show", "holidays") == "2026-12-25\n2026-12-26\n"
    calendar = {"name": "holidays", "on_free_day": "skip"}
    spec = {"cron": "0 9 * * *", "calendar": calendar, "time_zone": "UTC"}
    made = playalter("schedules", "create", "-", given=json.dumps({**BODY, "spec": spec}))
    first = made.splitlines()[1].split()[0]
    written = playalter("calendars", "write", "holidays", "-", given=first)
    assert written == "holidays has 1 dates; 1 of 1 schedules moved\n"
