"""ops/setup.sh: what is wrong with a machine is said in one line."""

import configparser
import os
import re
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


def _source(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'. "{CHECKOUT}/ops/setup.sh"; {command}'],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_old_python_is_named_with_its_version(tmp_path: Path) -> None:
    old = _program(tmp_path / "python3", "echo 3.8.10")
    done = _source("find_python", PYTHON=old)
    assert done.returncode == 1
    assert f"needs Python 3.11, 3.12 or 3.13, found none: {old} is Python 3.8.10" in done.stderr


def test_missing_python_is_named() -> None:
    done = _source("find_python", PYTHON="no-such-python")
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13, found none" in done.stderr


def test_second_python_is_taken_when_the_first_is_too_new(tmp_path: Path) -> None:
    _program(tmp_path / "python3", "echo 3.14.0")
    good = _program(tmp_path / "python3.13", "echo 3.13.2")
    done = _source("find_python", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.stdout.strip() == good


def test_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    bare = _program(tmp_path / "python3", "case $2 in *sys*) echo 3.11.2;; *) exit 1;; esac")
    done = _source("require_venv " + bare)
    assert done.returncode == 1
    assert "has no venv module" in done.stderr
    assert "python3-venv" in done.stderr


def test_full_disk_is_named_with_what_is_needed() -> None:
    done = _source("require_disk 999999999")
    assert done.returncode == 1
    assert "999999999 MB are needed" in done.stderr


def test_locks_hold_every_pin_of_setup_cfg_and_no_address() -> None:
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg")
    needed = config["options"]["install_requires"].split()
    extras = dict(config["options.extras_require"])
    demo = (CHECKOUT / "requirements.lock").read_text()
    development = (CHECKOUT / "requirements-dev.lock").read_text()
    assert "://" not in demo + development
    assert not _missing([*needed, *extras["local"].split()], demo)
    assert not _missing([*needed, *" ".join(extras.values()).split()], development)
    assert set(_pins(demo)) <= set(_pins(development))


def _pins(lock: str) -> list[str]:
    return re.findall(r"^[a-z0-9-]+==[^ ]+", lock, flags=re.MULTILINE)


def _missing(requirements: list[str], lock: str) -> set[str]:
    wanted = {re.sub(r"\[.*?\]", "", requirement) for requirement in requirements}
    return wanted - set(_pins(lock))
