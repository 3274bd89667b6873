"""Thousands of lines wait for a batch, and the few slots of the workers serve others meanwhile."""

from collections.abc import Iterator

import pytest
from celery import Celery

from tests.e2e.definitions import ended, register, started
from tests.e2e.instance import running_instance
from tests.e2e.stack import Json, Stack, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

MANY = 2000
SLOTS = "4"
ASK: Json = {
    "name": "asks_in_a_batch",
    "do": {
        "step": "ask",
        "action": "openai.batch",
        "with": {"input": "Heroes of space", "max_output_tokens": 500, "cache": False},
    },
}
OTHER: Json = {
    "name": "asks_at_once",
    "do": {
        "step": "ask",
        "action": "openai.respond",
        "with": {"input": "Rain", "max_output_tokens": 500, "cache": False},
    },
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An instance of this module's own, whose worker has four processes."""
    options = {"OPENAI_BATCH_LINES": str(MANY), "OPENAI_BATCH_WAIT_SECONDS": "3600"}
    folder = tmp_path_factory.mktemp("batches")
    with running_instance(folder, "--processes", SLOTS, **options) as stack:
        yield stack


def carry(stack: Stack) -> None:
    """Publish what beat publishes."""
    broker = stack.profile.valkey().url()
    with Celery(broker=broker, set_as_current=False) as app:
        app.send_task("control.carry_batches", queue="control")


def states(stack: Stack) -> dict[str, int]:
    """How many workflows stand how."""
    rows = stack.rows("SELECT status, count(*) AS number FROM steps GROUP BY status")
    return {row["status"]: row["number"] for row in rows}


def batch(stack: Stack) -> str:
    """The state of the batch, after it was carried on."""
    carry(stack)
    rows = stack.rows("SELECT state FROM batches")
    return str(rows[0]["state"]) if rows else ""


def test_others_go_on_beside_2000_lines_that_are_outstanding(instance: Stack) -> None:
    register(instance, ASK)
    register(instance, OTHER)
    for _ in range(MANY):
        started(instance, ASK["name"], {})
    until("all steps to wait", lambda: states(instance) == {"waiting": MANY}, 240, instance.dump)
    instance.fault("openai", "batches.create", "lost_reply")
    until("a lost batch", lambda: batch(instance) == "creating", 60, instance.dump)
    until("its adoption", lambda: batch(instance) == "running", 60, instance.dump)
    for _ in range(20):
        assert ended(instance, started(instance, OTHER["name"], {}))["status"] == "succeeded"
    assert states(instance) == {"waiting": MANY, "succeeded": 20}, "the slots are free for others"
    instance.control("POST", "/stripe/advance", {"seconds": 3 * 3600})
    until("the answers", lambda: batch(instance) == "ended", 240, instance.dump)
    done = {"succeeded": MANY + 20}
    until("all steps to end", lambda: states(instance) == done, 240, instance.dump)
    counts = instance.control("GET", "/books")["counts"]
    assert (counts["batches"], counts["captions"]) == (1, MANY + 20)
