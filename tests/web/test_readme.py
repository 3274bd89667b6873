"""The shell examples of the README are run as they stand there."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.identity import keys
from chains.catalogue import versions
from chains.definitions import noop_chain
from tests.integration.driving import drive
from tests.unit.documents import CHECKOUT, README, blocks

PATIENCE_SECONDS = 40.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the definition of the README and an installed `playalter`."""
    (text,) = blocks(README, "json")
    (tmp_path / "face_swaps.json").write_text(text)
    command = tmp_path / ".venv" / "bin" / "playalter"
    command.parent.mkdir(parents=True)
    argv = shlex.join([sys.executable, "-m", "ops.cli"])
    command.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {argv} "$@"\n')
    command.chmod(0o755)
    return tmp_path


def test_the_commands_that_the_readme_begins_with_are_there() -> None:
    begins, _ = blocks(README, "sh")
    commands = [words[0] for line in begins.splitlines() if (words := shlex.split(line, True))]
    assert commands == ["ops/demo", "ops/test"]
    for command in commands:
        assert os.access(CHECKOUT / command, os.X_OK), command


def test_the_readmes_commands_do_what_it_says(server: str, folder: Path) -> None:
    versions.register(noop_chain.BODY)
    _, example = blocks(README, "sh")
    key = keys.create_key("ada@example.com", is_admin=True)[1]
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": key}
    with subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", example],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as ran:
        until = time.monotonic() + PATIENCE_SECONDS
        while ran.poll() is None and time.monotonic() < until:
            drive()
            time.sleep(0.3)
        ran.kill()
        assert ran.stdout is not None
        said = ran.stdout.read()
    assert ran.returncode == 0, said
    assert "face_swaps" in said
    assert '"type":"noop_chain"' in said.replace(" ", "")
    assert "WorkflowSucceeded" in said
