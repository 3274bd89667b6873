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
    created = playalter("schedules", "create", str(file))
    assert created.splitlines()[0] == "daily created"
    assert created.splitlines()[1:3] == preview
    assert playalter("schedules", "next", "daily", "--count", "2").splitlines() == preview
    assert playalter("schedules", "run", "daily").startswith("started ")
    assert playalter("schedules", "run", "daily") == "skipped running\n"
    assert "daily" in playalter("schedules", "list")
    assert playalter("schedules", "pause", "daily", "a holiday") == "paused\n"
    shown = playalter("schedules", "show", "daily")
    assert "a holiday" in shown
    assert "skipped" in shown
    assert playalter("schedules", "resume", "daily").startswith("resumed; next 20")
    assert len(playalter("schedules", "runs", "daily").splitlines()) == 2
    file.write_text(json.dumps({**BODY, "overlap": "allow_all"}))
    assert playalter("schedules", "change", str(file)).startswith("daily changed")
    span = ("2026-01-01T00:00:00Z", "2026-01-03T10:00:00Z")
    begun = playalter("schedules", "backfill", "daily", *span, "--yes").splitlines()
    assert begun[0] == "3 times, of unknown cost"
    assert playalter("schedules", "end-backfill", "daily", begun[1].split()[1]) == "ended\n"
    assert playalter("schedules", "delete", "daily") == "deleted\n"
    assert "no schedule daily" in playalter("schedules", "show", "daily", code=2)


def test_a_wrong_file_is_refused_with_the_place(playalter: Callable[..., str]) -> None:
    given = json.dumps({**BODY, "spec": {"cron": "0 99 * * *"}})
    assert "/spec/cron" in playalter("schedules", "create", "-", code=2, given=given)
    assert "no JSON object" in playalter("schedules", "create", "-", code=2, given="[]")


def test_a_calendar_is_written_from_lines(playalter: Callable[..., str]) -> None:
    given = "2026-12-25\n\n2026-12-26\n"
    assert playalter("calendars", "write", "holidays", "-", given=given) == (
        "holidays has 2 dates\n"
    )
    assert playalter("calendars", "show", "holidays") == "2026-12-25\n2026-12-26\n"
    assert "no schedule" in playalter("calendars", "list")
    assert playalter("calendars", "delete", "holidays") == "deleted\n"
