"""`playalter definitions`, as a person or a script meets it."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from app.identity import keys
from app.settings import Settings
from tests.forked import playalter
from tests.unit.kinds import EVERY_KIND


def run(*arguments: str, **changes: str) -> CompletedProcess[str]:
    """The command with these changes of the environment."""
    return playalter("definitions", *arguments, **{"PLAYALTER_API_KEY": "", **changes})


def written(folder: Path, name: str, body: Any) -> str:
    path = folder / f"{name}.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return str(path)


def body(number: int) -> dict[str, Any]:
    node = {"step": "a", "action": "control.noop", "with": {"n": number}}
    return {"name": "sample", "do": node}


def test_a_version_is_registered_compared_spread_and_retired(
    server: str, settings: Settings, tmp_path: Path
) -> None:
    _, key = keys.create_key("root@example.com", is_admin=True)
    given = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": key}
    first, second = (written(tmp_path, f"v{n}", body(n)) for n in (1, 2))
    assert run("validate", first, **given).stdout == "valid, 1 steps\n"
    assert run("register", first, **given).stdout == "sample version 1: new, active\n"
    made = run("register", second, **given)
    assert made.stdout == "sample version 2: new, not active\n"
    assert "activate sample 2" in made.stderr
    assert run("diff", "sample", "1", "2", **given).stdout.endswith("changed: a (with)\n")
    assert "version 2" in run("activate", "sample", "2", **given).stdout
    shown = json.loads(run("show", "sample", **given).stdout)
    assert shown == body(2)
    assert "weight 10" in run("spread", "sample", "1=90", "2=10", **given).stdout
    assert run("rollback", "sample", **given).returncode == 0
    assert "retired" in run("retire", "sample", "2", **given).stdout
    refused = run("retire", "sample", "1", **given)
    assert (refused.returncode, "is active" in refused.stderr) == (2, True)
    assert run("list", **given).stdout.startswith("sample ")
    assert run("draw", "sample", **given).stdout.startswith("<svg")


def test_a_key_is_an_admins_only_if_asked_for(settings: Settings) -> None:
    def made(*arguments: str) -> str:
        return playalter("keys", "create", "a@example.com", *arguments).stdout.strip()

    assert keys.authenticate(made()).is_admin is False
    assert keys.authenticate(made("--admin")).is_admin is True


def test_a_file_is_checked_and_drawn_without_a_server(tmp_path: Path) -> None:
    right = written(tmp_path, "right", EVERY_KIND)
    assert "every_kind: valid, " in run("validate", right).stdout
    picture = tmp_path / "picture.svg"
    assert run("draw", right, "-o", str(picture)).returncode == 0
    assert picture.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"name": "a", "name": "b"}', "appears twice"),
        ('{"name": "a", "do": {"step": "s", "action": "control.nop"}}', "/do/action: there is no"),
        ("[" * 100_000, "deeper than 64"),
    ],
)
def test_faults_of_a_file_are_lines_and_the_exit_code_is_2(
    tmp_path: Path, text: str, said: str
) -> None:
    ended = run("validate", written(tmp_path, "wrong", text))
    assert (ended.returncode, said in ended.stderr) == (2, True), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [("sample",), ("sample", "x=1"), ("sample", "1=1", "--end")])
def test_a_spread_that_says_nothing_clear_is_wrong_use(arguments: tuple[str, ...]) -> None:
    assert run("spread", *arguments).returncode == 2
