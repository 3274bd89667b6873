"""`playalter` as a person or a script meets it: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from uuid import UUID

import pytest

from app.broker import presence
from app.identity import keys
from app.settings import Settings
from chains import definitions
from chains.catalogue import versions
from tests import forked
from tests.web.conftest import Caller, end

NOBODY = "postgresql://a:b@127.0.0.1:1/x"
CHECKOUT = Path(__file__).resolve().parents[2]
Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def playalter(server: str, caller: Caller) -> Run:
    """The command, with the environment of a user of this test's server."""
    return partial(forked.playalter, PLAYALTER_URL=server, PLAYALTER_API_KEY=caller.key)


def test_a_command_is_one_program_with_arguments_streams_and_an_exit_code(
    server: str, caller: Caller
) -> None:
    """As from a shell; the other tests fork it from a process that has loaded it."""
    variables = {"PLAYALTER_URL": server, "PLAYALTER_API_KEY": caller.key}
    arguments = ("submit", "nope", "--input", "-")
    ended = subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=CHECKOUT,
        env=os.environ | variables,
        input="{}",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    made = forked.playalter(*arguments, given="{}", **variables)
    told = (ended.returncode, ended.stdout, ended.stderr)
    assert told == (made.returncode, made.stdout, made.stderr)
    assert (ended.returncode, "/type: " in ended.stderr) == (2, True)


def test_a_start_is_deferred_shown_and_refused_if_its_time_is_wrong(playalter: Run) -> None:
    for body in definitions.ALL:
        versions.register(body)
    start = ("submit", "noop_chain", "--input", "-")
    made = playalter(*start, "--delay", "2h", "--within", "10m", "--version", "1", given="{}")
    assert made.returncode == 0, made.stderr
    shown = playalter("status", made.stdout.strip()).stdout
    assert "pending" in shown
    assert "starts at 20" in shown
    refused = playalter(*start, "--at", "2027-01-31T09:00:00", given="{}")
    assert (refused.returncode, "/start_at: " in refused.stderr) == (2, True)


def test_wrong_input_is_named_by_its_pointer(playalter: Run) -> None:
    for body in definitions.ALL:
        versions.register(body)
    ended = playalter("submit", "face_swap_campaign", "--input", "-", given='{"price": {}}')
    assert ended.returncode == 2
    assert "/input/consent: " in ended.stderr
    assert "/input/price/currency: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "said"),
    [
        (["submit", "nope", "--input", "-"], {}, 2, "/type: "),
        (["submit", "nope", "--input", "/no/such/file"], {}, 2, "No such file"),
        (["list"], {"PLAYALTER_API_KEY": "pa_wrong"}, 2, "401"),
        (["list"], {"PLAYALTER_API_KEY": ""}, 2, "PLAYALTER_API_KEY"),
        (["list"], {"PLAYALTER_URL": "http://127.0.0.1:1"}, 3, "cannot reach"),
        (["list", "--limit", "1000"], {}, 2, "1000"),
        (["status", "42"], {}, 2, "not a valid UUID"),
        (["status", "0190a000-0000-7000-8000-000000000000"], {}, 2, "no such workflow"),
        (["keys", "create", "nobody"], {}, 2, "not an e-mail address"),
        (["keys", "create", "a@b"], {"DATABASE_URL": NOBODY}, 3, "refused"),
        (["keys", "create", "a@b"], {"DATABASE_URL": ""}, 2, "DATABASE_URL: is not set"),
        (["flower"], {"FLOWER_PASSWORD": ""}, 2, "FLOWER_PASSWORD"),
        (["fly"], {}, 2, "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line_and_by_the_exit_code(
    playalter: Run, arguments: list[str], changes: dict[str, str], code: int, said: str
) -> None:
    ended = playalter(*arguments, given="{}", **changes)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_watch_follows_to_the_end_and_tells_success_from_the_rest(
    playalter: Run, start: Callable[..., UUID]
) -> None:
    workflow_id = str(start())
    shown = playalter("status", workflow_id)
    assert (shown.returncode, "running" in shown.stdout) == (0, True)
    end(UUID(workflow_id))
    watched = playalter("watch", workflow_id)
    assert watched.returncode == 0, watched.stderr
    assert [line.split()[1] for line in watched.stdout.splitlines()[:2]] == [
        "WorkflowStarted",
        "WorkflowSucceeded",
    ]
    assert workflow_id in playalter("list").stdout
    assert workflow_id in playalter("list", "--roots").stdout
    assert workflow_id not in playalter("list", "--parent", workflow_id).stdout
    assert playalter("cancel", workflow_id).returncode == 2


def test_a_key_made_on_the_command_line_works_until_it_is_revoked(
    playalter: Run, settings: Settings
) -> None:
    key = playalter("keys", "create", "grace@example.com").stdout.strip()
    assert (
        playalter("list", "--json", PLAYALTER_API_KEY=key).stdout
        == json.dumps({"items": [], "next_cursor": None}, indent=2) + "\n"
    )
    listed = playalter("keys", "list", "grace@example.com").stdout
    assert key.split("_")[1] in listed
    assert key not in listed
    assert playalter("keys", "weigh", "grace@example.com", "3").returncode == 0
    assert "1000" in playalter("keys", "weigh", "grace@example.com", "0").stderr
    assert playalter("keys", "weigh", "nobody@example.com", "3").returncode == 2
    assert playalter("keys", "revoke", key).returncode == 0
    assert playalter("keys", "revoke", key).returncode == 2
    assert [facts.revoked_at is None for facts in keys.list_keys("grace@example.com")] == [False]


def test_workers_are_listed_with_the_queues_that_they_take(
    playalter: Run, settings: Settings
) -> None:
    presence.tell("one@here", ["control", "stripe"])
    presence.tell("two@here", [])
    ended = playalter("workers")
    assert ended.returncode == 0, ended.stderr
    one, two = ended.stdout.splitlines()
    assert (one.split()[:2], two.split()[:2]) == (
        ["one@here", "control,stripe"],
        ["two@here", "gone"],
    )
    assert ended.stderr == "no worker serves agora,http,n8n,openai,replicate,vercel\n"
    told = [json.loads(line) for line in playalter("workers", "--json").stdout.splitlines()]
    assert [(each["name"], each["is_gone"]) for each in told] == [
        ("one@here", False),
        ("two@here", True),
    ]


def test_help_loads_nothing_that_takes_its_time() -> None:
    code = (
        "import sys\n"
        "from ops.cli import main\n"
        "try:\n    sys.argv = ['playalter', '--help']; main()\n"
        "except SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "submit" in ran.stdout
    slow = {"sqlalchemy", "celery", "flask", "requests", "rich", "pydantic", "stripe", "openai"}
    assert slow.isdisjoint(ran.stderr.split())


def test_actions_are_listed_and_shown_with_and_without_a_server(playalter: Run) -> None:
    listed = playalter("actions")
    assert listed.returncode == 0, listed.stderr
    assert "stripe.capture" in listed.stdout
    assert playalter("actions", PLAYALTER_API_KEY="").stdout == listed.stdout
    shown = playalter("actions", "stripe.capture").stdout
    assert "undone by: Refund the captured amount" in shown
    assert '"payment_intent": "pi_' in shown
    told = json.loads(playalter("actions", "stripe.capture", "--json").stdout)
    assert told["input_schema"]["required"] == ["payment_intent"]
    refused = playalter("actions", "stripe.captur")
    assert (refused.returncode, "did you mean 'stripe.capture'" in refused.stderr) == (2, True)
