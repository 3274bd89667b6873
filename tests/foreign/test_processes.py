"""A platform of others in real processes: worker, front and reconciler, without the sandbox."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
import requests

from ops.laptop.profile import CHECKOUT, Profile, open_profile
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor
from tests.e2e.instance import ANY_PORT, make_key
from tests.e2e.stack import Json, Stack, until
from tests.foreign.definitions import POSTERS, POSTERS_THAT_FAIL
from tests.foreign.vendor import Pressroom, open_for_business

CORE = ("postgres", "valkey", "migrate", "web", "reconciler")
ENDED = ("succeeded", "failed", "compensated", "cancelled")
SETTINGS = {
    "LEASE_SECONDS": "3",
    "RECONCILE_SECONDS": "0.5",
    "WEB_THREADS": "4",
    # The webhook is what wakes a step here.
    "PRESSROOM_POLL_SECONDS": "600",
}
ROOMS = ("app", "chains", "ops", "tasks", "web")


class WithoutSandbox(Profile):
    """An instance whose only vendor is the pressroom: no other has an address or a key."""

    def vendors(self) -> dict[str, str]:
        """None is imitated."""
        return {}

    def services(self) -> list[Service]:
        """All but the sandbox."""
        return [
            replace(each, depends_on=tuple(n for n in each.depends_on if n != "sandbox"))
            for each in super().services()
            if each.name != "sandbox"
        ]


@pytest.fixture(scope="module")
def shop() -> Iterator[Pressroom]:
    """The vendor of all tests here."""
    with open_for_business() as made:
        yield made


@pytest.fixture(scope="module")
def stack(
    installation: Path, shop: Pressroom, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """PostgreSQL, Valkey, front, reconciler and a worker that have the package on their path."""
    folder = tmp_path_factory.mktemp("instance") / "data"
    settings = SETTINGS | shop.settings | {"PYTHONPATH": str(installation)}
    with open_profile(folder, os.environ, ports=ANY_PORT, overrides=settings) as opened:
        profile = WithoutSandbox(**{f.name: getattr(opened, f.name) for f in fields(opened)})
        core = [service for service in profile.services() if service.name in CORE]
        with Supervisor(core, keep_open=[profile.data.lock]) as supervisor:
            stack = Stack(profile, supervisor, make_key(profile))
            with stack.workers():
                yield stack
            stack.close()


def started(stack: Stack, definition: Json) -> str:
    """Register a definition over HTTP and start one of it; the workflow's id."""
    made = stack.api("POST", "/v1/definitions", json=definition, params={"activate": "true"})
    assert made.status_code == 201, made.text
    body = {"type": definition["name"], "input": {"text": "Premiere tonight"}}
    answer = stack.api("POST", "/v1/workflows", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def detail(stack: Stack, workflow: str) -> Json:
    shown: Json = stack.api("GET", f"/v1/workflows/{workflow}").json()
    return shown


def ended(stack: Stack, workflow: str) -> Json:
    def look() -> Json | None:
        shown = detail(stack, workflow)
        return shown if shown["status"] in ENDED else None

    return until("the end", look, 60.0, stack.dump)


def ordered(stack: Stack, shop: Pressroom, workflow: str) -> str:
    """The order of the workflow's step, once the step waits for it."""

    def look() -> str | None:
        waiting = [step for step in detail(stack, workflow)["steps"] if step["external_id"]]
        return str(waiting[0]["external_id"]) if waiting else None

    order = until("the order", look, 60.0, stack.dump)
    assert shop.orders[order]["reference"] == f"{workflow}/print"
    return order


def cli(profile: Profile, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=CHECKOUT,
        env=profile.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_workflow_is_woken_by_the_foreign_webhook_and_ends(stack: Stack, shop: Pressroom) -> None:
    workflow = started(stack, POSTERS)
    order = ordered(stack, shop, workflow)
    forged = requests.post(
        f"{stack.profile.url}/hooks/pressroom",
        json={"type": "order.printed", "order": order},
        headers={"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,x"},
        timeout=10,
    )
    assert forged.status_code == 400
    (checked,) = stack.rows("SELECT fingerprints FROM definitions WHERE name = 'posters'")
    assert set(checked["fingerprints"]) == {"pressroom.print"}
    shop.print_now(order)
    shop.tell(order, "order.printed")
    assert shop.answers == [200, 200]
    shown = ended(stack, workflow)
    assert shown["status"] == "succeeded", stack.dump()
    assert shown["output"] == {"proof": f"{shop.url}/proofs/{order}"}
    assert [step["cost_micro_usd"] for step in shown["steps"]] == [300_000]
    assert shop.books["orders"] == 1


def test_a_later_failure_is_undone_by_the_foreign_compensation(
    stack: Stack, shop: Pressroom
) -> None:
    before = shop.books.copy()
    workflow = started(stack, POSTERS_THAT_FAIL)
    order = ordered(stack, shop, workflow)
    shop.print_now(order)
    shown = ended(stack, workflow)
    assert shown["status"] == "compensated", stack.dump()
    assert shop.orders[order]["state"] == "cancelled"
    assert shop.books - before == {"orders": 1, "cancellations": 1}


def test_whoever_looks_sees_its_queue(stack: Stack) -> None:
    told = "SELECT 1 FROM worker_presence WHERE 'pressroom' = ANY (queues)"
    assert until("the worker to tell its queues", lambda: stack.rows(told), 30.0, stack.dump)
    listed = cli(stack.profile, "workers", "--json")
    assert listed.returncode == 0, listed.stderr
    queues = [set(json.loads(line)["queues"]) for line in listed.stdout.splitlines()]
    assert any({"control", "pressroom", "stripe"} <= each for each in queues), listed.stdout
    page = requests.get(f"{stack.profile.url}/metrics", timeout=10).text
    assert 'playalter_queue_messages{queue="pressroom"} 0.0' in page
    assert 'playalter_queue_workers{queue="pressroom"} 1.0' in page


def test_a_definition_is_validated_without_a_server(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "posters.json"
    file.write_text(json.dumps(POSTERS))
    done = cli(stack.profile, "definitions", "validate", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_of_it_stands_in_the_checkout(installation: Path) -> None:
    assert not installation.is_relative_to(CHECKOUT)
    sources = [path for room in ROOMS for path in (CHECKOUT / room).rglob("*.py")]
    assert len(sources) > 150
    assert [path for path in sources if "pressroom" in path.read_text()] == []
