"""The command: bad options are refused before anything starts; a smallest comparison runs."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.__main__ import main

MACHINE = 100
"""Cores: others may have all of the machine, for nothing is said of rates."""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("w9",), "there is no load 'w9'; there are w1, w1i, w2"),
        (("w1", "--runs", "0"), "'0' is not a whole number above 0"),
        (("w1", "--concurrency", "two"), "'two' is not a whole number above 0"),
        (("w3", "--commit-delay", "2"), "'2' is no delay: write 2ms"),
        (("w3", "--commit-delay", "1000ms"), "100ms is the longest"),
        (("w3", "--commit-delay", "nanms"), "'nanms' is no delay"),
        (("--json", "/nowhere/at/all.json"), "/nowhere/at, where all.json is to be written"),
        (("--svg", "/"), "/ is a folder; name the file to write"),
        (("--concurrency", "51"), "its PostgreSQL serves 50 slots"),
        (("--others", "-1"), "'-1' is no number of cores, such as 0.1"),
        (("--over", "ftp"), "choose from"),
        (("--peer", "temporal"), "choose from"),
        (("w1", "--peer", "restate", "--no-submitted"), "its submission is always timed"),
        (("w3slow", "--peer", "restate"), "only PostgreSQL's commits can be made slower"),
        (("w1", "--peer", "restate", "--commit-delay", "2ms"), "only PostgreSQL's commits"),
        (("--from", "/nowhere.json"), "/nowhere.json is not what --json wrote"),
    ],
)
def test_a_bad_option_is_refused_with_what_would_do(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(options))
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.long
def test_the_smallest_comparison_measures_records_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, drawing = tmp_path / "report.json", tmp_path / "report.svg"
    # A process of its own, for its servers' addresses stay in its environment.
    argv = [sys.executable, "-m", "tests.bench", "w1", "--runs", "1", "--workflows", "10"]
    argv += ["--concurrency", "2", "--json", str(data), "--svg", str(drawing)]
    argv += ["--others", str(MACHINE)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (load,) = json.loads(data.read_text())["loads"]
    counted = {"workflows": 12, "steps": 36, "events": 36}
    assert load["counted"] == {"durable": {"expected": counted, "found": counted, "is_whole": True}}
    (ours,), (theirs,) = (load["sides"][side]["runs"] for side in ("durable", "raw"))
    assert (ours["submission_seconds"], theirs["submission_seconds"]) == (0, 0)
    assert (ours["messages"], theirs["messages"]) == (10, 30)
    assert ours["commits"] >= 50 > theirs["commits"]
    assert ElementTree.parse(drawing).getroot().tag.endswith("svg")
    assert main(["--from", str(data), "--readme"]) == 0
    assert "| W1: three no-op steps |" in capsys.readouterr().out


@pytest.mark.long
def test_the_smallest_comparison_over_http_times_the_submission_too(tmp_path: Path) -> None:
    data = tmp_path / "report.json"
    argv = [sys.executable, "-m", "tests.bench", "w1", "w4", "alone", "--runs", "1"]
    argv += ["--workflows", "10", "--concurrency", "2", "--over", "http", "--json", str(data)]
    argv += ["--others", str(MACHINE)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(data.read_text())
    assert found["setting"]["submission"] == "timed"
    for load in found["loads"]:
        assert list(load["sides"]) == ["durable", "http", "raw"]
        counted = {"workflows": 12, "steps": 36, "events": 36}
        for side in ("durable", "http"):
            assert load["counted"][side]["found"] == counted
            (run,) = load["sides"][side]["runs"]
            assert run["messages"] == 10
            assert (run["submission_seconds"] > 0) is (load["name"] != "alone")
        (run,) = load["sides"]["http"]["runs"]
        assert run["cpu"]["servers"] > 0


@pytest.mark.long
def test_a_small_burst_ends_without_copies(tmp_path: Path) -> None:
    data = tmp_path / "burst.json"
    argv = [sys.executable, "-m", "tests.bench.costs.burst", "--workflows", "1500"]
    argv += ["--json", str(data)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(data.read_text())
    assert (len(found["parts"]), found["copies"], found["copies_left"]) == (10, 0, 0)
    assert "1,500 workflows: submitted in" in done.stdout
