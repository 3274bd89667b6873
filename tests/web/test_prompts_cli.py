"""`playalter prompts`, as a person or a script meets it."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from app.identity import keys
from app.settings import Settings
from tests.forked import playalter


def written(folder: Path, name: str, body: Any) -> str:
    path = folder / f"{name}.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return str(path)


def test_a_prompt_is_made_tried_compared_moved_and_deleted(
    server: str, settings: Settings, tmp_path: Path
) -> None:
    _, key = keys.create_key("ada@example.com")
    given = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": key}

    def run(*arguments: str) -> CompletedProcess[str]:
        return playalter("prompts", *arguments, **given)

    first, second = (written(tmp_path, f"v{n}", {"text": f"{n}: {{{{ brief }}}}"}) for n in (1, 2))
    made = run("create", "caption", first, "--label", "production")
    assert made.stdout.startswith("caption version 1: new, "), made.stderr
    assert "made before" in run("create", "caption", first).stdout
    assert run("create", "caption", second).returncode == 0
    assert run("list").stdout.split() == ["caption", "version", "2", "production=1"]
    assert [line.split()[1] for line in run("list", "caption").stdout.splitlines()] == ["2", "1"]
    shown = json.loads(run("show", "caption", "1").stdout)
    assert shown["messages"] == [{"role": "user", "content": "1: {{ brief }}"}]
    assert "2: {{ brief }}" in run("show", "caption").stdout
    assert "-1: {{ brief }}\n+2: {{ brief }}" in run("diff", "caption", "1", "2").stdout
    assert run("diff", "caption", "1", "1").stdout == "no difference\n"
    tried = run("render", "caption", "--label", "production", "-v", "brief=a=b")
    assert (tried.stdout, "about 2 tokens" in tried.stderr) == ("[user]\n1: a=b\n\n", True)
    values = written(tmp_path, "values", {"brief": 5})
    assert "2: 5" in run("render", "caption", "--variables", values).stdout
    variables = {"words": {"type": "integer"}, "loud": {"type": "boolean"}}
    typed = written(tmp_path, "typed", {"text": "{{ words }}{{ loud }}", "variables": variables})
    assert run("create", "typed", typed).returncode == 0
    tried = run("render", "typed", "-v", "words=25", "-v", "loud=true")
    assert tried.stdout == "[user]\n25true\n\n", tried.stderr
    wrong = run("render", "typed", "-v", "words=many", "-v", "loud=true")
    assert (wrong.returncode, "/variables/words" in wrong.stderr) == (2, True)
    assert run("delete", "typed").returncode == 0
    missing = run("render", "caption")
    assert (missing.returncode, "/variables/brief" in missing.stderr) == (2, True)

    moved = run("label", "caption", "production", "2", "--from", "1", "--reason", "better")
    assert moved.stdout == "caption production: version 2, from 1\n"
    assert "points there already" in run("label", "caption", "production", "2").stdout
    late = run("label", "caption", "production", "1", "--from", "1")
    assert (late.returncode, "points to version 2" in late.stderr) == (2, True)
    assert run("rollback", "caption", "production").stdout.endswith("version 1, from 2\n")
    assert run("labels", "caption").stdout.startswith("production           version 1")
    moves = run("moves", "caption", "production").stdout.splitlines()
    assert ["rollback" in line for line in moves] == [True, False, False]
    assert moves[1].endswith("better")

    assert run("delete", "caption", "2").stdout == "caption version 2 deleted\n"
    assert "labels point to it" in run("delete", "caption").stderr
    assert run("unlabel", "caption", "production").stdout == "caption: production removed\n"
    assert run("delete", "caption").stdout == "caption deleted\n"
    assert run("list").stdout == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ("[]", "is a JSON object")],
)
def test_a_file_that_is_no_prompt_is_wrong_use(tmp_path: Path, text: str, said: str) -> None:
    ended = playalter("prompts", "create", "caption", written(tmp_path, "wrong", text))
    assert (ended.returncode, said in ended.stderr) == (2, True), ended.stderr


def test_a_variable_without_a_value_is_wrong_use() -> None:
    ended = playalter("prompts", "render", "caption", "-v", "brief", PLAYALTER_API_KEY="pa_x")
    assert (ended.returncode, "NAME=VALUE" in ended.stderr) == (2, True)
