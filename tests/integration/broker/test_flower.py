"""Flower over HTTP: it knows all queues, and shows what PostgreSQL knows of the steps.

No worker runs here: as for a Flower that was started before the workers, none answers it. The steps
run in this process, and the task events that a worker would send are sent with Celery's dispatcher.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import redis
import requests

from app.broker.celery import celery_app
from app.broker.links import task_id
from ops.laptop.ports import free_port
from ops.laptop.profile import CHECKOUT
from ops.laptop.valkey import Valkey
from tests.databases import Clones
from tests.e2e.stack import PLATFORMS, until
from tests.forgetting import forget
from tests.integration.conftest import Kernel, environment, kernel_of_ada
from tests.integration.driving import drive

PASSWORD = "the password of flower"


@dataclass(frozen=True)
class Flower:
    """A running Flower with its stores."""

    url: str
    broker: str
    kernel: Kernel

    def get(self, path: str, *, user: str = "playalter") -> requests.Response:
        """Ask with the password."""
        return requests.get(self.url + path, auth=(user, PASSWORD), timeout=10)

    def state(self, id: str) -> str:
        """The state that Flower shows of a task; empty if it has seen no event of it."""
        answer = self.get(f"/api/task/info/{id}")
        return str(answer.json()["state"]) if answer.ok else ""

    def run(self, node: dict[str, Any], key: str) -> tuple[UUID, str]:
        """Run a workflow with this root as far as it goes, with the events that Celery sends for a
        task of the step `key` that suspends; the workflow's id and the task's id."""
        workflow = self.kernel.start(self.kernel.register(node))
        task = str(task_id(workflow, key))
        arguments = {"name": "control.sample", "args": repr((str(workflow), key)), "kwargs": "{}"}
        with celery_app().events.default_dispatcher(hostname="worker@here") as worker:
            worker.send("task-received", uuid=task, **arguments)
            drive()
            worker.send("task-started", uuid=task)
        until("Flower to see the task", lambda: self.state(task), 10.0)
        return workflow, task


@pytest.fixture(scope="module")
def flower(
    furnished_clones: Clones, valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flower]:
    """`playalter flower` on a database and a broker of this module's own."""
    folder, port = tmp_path_factory.mktemp("flower"), free_port()
    own = {"FLOWER_PORT": str(port), "FLOWER_PASSWORD": PASSWORD}
    with furnished_clones.one() as address, pytest.MonkeyPatch.context() as patched:
        settings = environment(address, valkey_server.url(0), folder) | own
        for name, value in settings.items():
            patched.setenv(name, value)
        forget()
        with (folder / "log").open("wb") as log, _running(log) as process:
            found = Flower(f"http://127.0.0.1:{port}", settings["REDIS_URL"], kernel_of_ada())
            until("Flower", lambda: process.poll() is not None or _is_up(found), 60.0)
            assert process.poll() is None, (folder / "log").read_text()
            yield found
        celery_app().close()
        forget()


@contextlib.contextmanager
def _running(log: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of Flower, which ends with the block."""
    argv = [sys.executable, "-m", "ops.cli", "flower"]
    with subprocess.Popen(
        argv, cwd=CHECKOUT, env=dict(os.environ), stdout=log, stderr=log
    ) as process:
        yield process
        process.terminate()


def _is_up(flower: Flower) -> bool:
    try:
        return flower.get("/healthcheck").ok
    except requests.ConnectionError:
        return False


def test_flower_asks_for_its_password_also_before_it_tells_its_metrics(flower: Flower) -> None:
    for path in ("/metrics", "/broker", "/api/queues/length", "/tasks", "/task/1"):
        assert requests.get(flower.url + path, timeout=10).status_code == 401, path
        assert flower.get(path, user="eve").status_code == 401, path
    answer = flower.get("/metrics")
    assert answer.status_code == 200
    assert "flower_events_total" in answer.text


def test_flower_knows_all_queues_with_their_messages_of_every_priority(flower: Flower) -> None:
    with redis.Redis.from_url(flower.broker) as client:
        for number, suffix in enumerate(("", "\x06\x163", "\x06\x166", "\x06\x169"), start=1):
            client.rpush(f"agora{suffix}", *["message"] * number)
    queues = flower.get("/api/queues/length").json()["active_queues"]
    assert {each["name"]: each["messages"] for each in queues} == dict.fromkeys(PLATFORMS, 0) | {
        "agora": 10
    }
    page = flower.get("/broker").text
    assert all(name in page for name in PLATFORMS)


def test_flower_shows_the_results_of_steps(flower: Flower) -> None:
    node = {"step": "own", "action": "control.noop", "with": {"said": "a result of its own"}}
    workflow, task = flower.run(node, "own")
    output = flower.kernel.step(workflow, "own")["output"]
    assert "a result of its own" in str(output)
    answer = flower.get(f"/api/task/result/{task}").json()
    assert (answer["state"], "a result of its own" in str(answer["result"])) == ("SUCCESS", True)
    until("Flower to see the success", lambda: flower.state(task) == "SUCCESS", 10.0)
    assert "a result of its own" in flower.get(f"/task/{task}").text


def test_flower_shows_that_steps_wait_and_were_cancelled(flower: Flower) -> None:
    workflow, task = flower.run({"wait": "w", "for": "1h"}, "w")
    _, failed = flower.run({"step": "x", "action": "control.fail"}, "x")
    until("Flower to see the wait", lambda: flower.state(task) == "WAITING", 10.0)
    flower.kernel.cancel(workflow)
    drive()
    until("Flower to see the end", lambda: flower.state(task) == "REVOKED", 10.0)
    assert flower.state(failed) in {"FAILURE", "REVOKED"}
