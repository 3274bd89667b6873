"""ops/bench running: a system that is up is measured over HTTP alone."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests import forked
from tests.e2e.stack import Stack


def run(*options: str, **settings: str) -> CompletedProcess[str]:
    return forked.command(
        "tests.bench.costs.running", *options, **{"PLAYALTER_API_KEY": "", **settings}
    )


def test_a_system_that_is_up_is_measured_by_its_address(stack: Stack, tmp_path: Path) -> None:
    data = tmp_path / "found.json"
    options = ("--workflows", "12", "--clients", "3", "--alone", "2", "--json", str(data))
    done = run("--url", stack.profile.url, *options, PLAYALTER_API_KEY=stack.key)
    assert done.returncode == 0, done.stderr
    found = json.loads(data.read_text())
    assert (found["workflows"], found["succeeded"], found["not_succeeded"]) == (12, 14, 0)
    ended = found["ended"]
    assert ended["steps_per_second"] == pytest.approx(3 * ended["workflows_per_second"])
    assert 0 < found["one_alone_ms"]["p50"] < 60_000
    assert 0 < found["submission"]["ms"]["p50"] <= found["submission"]["ms"]["p99"]
    assert "12 workflows of type noop_chain, 3 clients" in done.stdout


@pytest.mark.parametrize(
    ("options", "key", "said"),
    [
        (("--type", "nowhere"), None, "there is no workflow type 'nowhere'"),
        ((), "pa_0123456789ab_" + "x" * 43, "the API key is not valid"),
        ((), "", "PLAYALTER_API_KEY is not set"),
        (("--url", "http://127.0.0.1:1"), None, "127.0.0.1"),
        (("--input", "[1]"), None, "'[1]' is no JSON object"),
    ],
)
def test_what_cannot_be_measured_is_told(
    stack: Stack, options: tuple[str, ...], key: str | None, said: str
) -> None:
    done = run(
        "--url",
        stack.profile.url,
        *options,
        "--workflows",
        "1",
        PLAYALTER_API_KEY=stack.key if key is None else key,
    )
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "Traceback" not in done.stderr
