"""Starts that one user sends at the same moment are committed together, each with its verdict."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from uuid_utils.compat import uuid7

from app import db
from app.errors import Conflict, InvalidInput
from app.settings import Settings
from chains import registry
from chains.dispatch import queue_length
from chains.starting import together
from chains.starting.start import Started, start_workflow
from tests.integration.conftest import Kernel, deadlocks

WITH_KEY = (
    "INSERT INTO workflows (id, organisation_id, project_id, user_id, type, version, status, input,"
    " idempotency_key, request_hash, expires_at, started_at, next_wake_at)"
    " SELECT uuidv7(), organisation_id, project_id, user_id, type, version, status, input, %s,"
    " '\\x00', expires_at, started_at, next_wake_at FROM workflows LIMIT 1"
)
TEXT = "a'b\\\"ü"
Begin = Callable[..., "Future[Started]"]


@pytest.fixture
def name(kernel: Kernel) -> str:
    """A type that this process has started before."""
    found = kernel.register({"step": "a", "action": "control.noop"})
    kernel.start(found)
    return found


@contextmanager
def held(settings: Settings) -> Iterator[psycopg2.extensions.connection]:
    """No start goes on in the block before the connection ends its transaction."""
    with contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as holder:
        hold(holder)
        yield holder


def hold(holder: psycopg2.extensions.connection) -> None:
    holder.cursor().execute("SAVEPOINT free; LOCK TABLE definitions IN ACCESS EXCLUSIVE MODE")


@contextmanager
def beginning(kernel: Kernel, name: str) -> Iterator[Begin]:
    """Sends starts of the type, in order; those after the first wait for it."""
    with ThreadPoolExecutor(12) as pool:
        sent: list[Future[Started]] = []

        def begin(key: str | None = None, **input: Any) -> "Future[Started]":
            sent.append(
                pool.submit(
                    start_workflow, user_id=kernel.user_id, type=name, input=input,
                    idempotency_key=key,
                )
            )  # fmt: skip
            until = time.monotonic() + 20
            while sum(map(len, together._batches._queues.values())) < len(sent) - 1:
                assert time.monotonic() < until
                time.sleep(0.001)
            return sent[-1]

        yield begin


def transaction(workflow_id: UUID) -> str:
    row = db.row("SELECT xmin::text AS number FROM workflows WHERE id = %s", (workflow_id,))
    assert row is not None
    return str(row["number"])


def test_starts_of_one_moment_are_committed_together(
    kernel: Kernel, settings: Settings, name: str
) -> None:
    picture = "01890a5d-ac96-774b-bcce-b302099a8057"
    messages = queue_length("control")
    with beginning(kernel, name) as begin, held(settings) as holder:
        first = begin("first")
        sent = [
            begin("b", n=1),
            begin("a", n=2),
            begin(None, n=3, nested={"text": TEXT}),
            begin(None, picture=picture),
        ]
        again, other = begin("a", n=2), begin("b", n=4)
        holder.rollback()
        started = [each.result(20) for each in sent]
        assert first.result(20).created
        assert [each.created for each in started] == [True] * 4
        assert again.result(20) == Started(started[1].id, created=False)
        with pytest.raises(Conflict):
            other.result(20)
    assert queue_length("control") == messages + 5
    assert len({transaction(each.id) for each in started}) == 1
    assert transaction(first.result().id) != transaction(started[0].id)
    inputs = [kernel.workflow(each.id)["input"] for each in started]
    assert inputs == [{"n": 1}, {"n": 2}, {"n": 3, "nested": {"text": TEXT}}, {"picture": picture}]
    for each in started:
        assert each.summary is not None
        assert json.loads(each.summary)["id"] == str(each.id)
        assert kernel.step(each.id, "a")["status"] == "pending"


def test_a_key_that_another_process_uses_at_the_same_moment_divides_the_batch(
    kernel: Kernel, settings: Settings, name: str
) -> None:
    with (
        contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as other,
        beginning(kernel, name) as begin,
    ):
        cursor = other.cursor()
        cursor.execute(WITH_KEY, ("x",))
        hold(other)
        begin("first")
        sent = [begin("w", n=1), begin("x", n=2), begin(None, n=3)]
        cursor.execute("ROLLBACK TO SAVEPOINT free")
        wait_until_blocked()
        other.commit()
        with pytest.raises(Conflict):
            sent[1].result(20)
        others = [sent[0].result(20), sent[2].result(20)]
        assert [each.created for each in others] == [True, True]
    assert len({transaction(each.id) for each in others}) == 2


def wait_until_blocked(count: int = 1) -> None:
    """Wait until so many transactions wait for others; a batch does so after its first start."""
    until = time.monotonic() + 20
    blocked = (
        "SELECT 1 FROM pg_locks WHERE locktype IN ('transactionid', 'advisory') AND NOT granted"
    )
    while len(db.rows(blocked, ())) < count:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_batches_of_two_processes_do_not_wait_for_each_others_keys_and_lanes(
    kernel: Kernel, settings: Settings, name: str
) -> None:
    choice = registry.remembered(name)
    assert choice is not None
    common = together.Common(
        None, choice.mark, kernel.user_id, name, 1, registry.first_rows(name, 1), 15.0, None, False
    )

    def own(key: str) -> tuple[together.Common, together.Own]:
        return common, together.Own(uuid7(), "{}", key, b"x", 3600.0, 5, None)

    # The first start of a user whose lane is empty locks the lane.
    db.row("INSERT INTO queues (name, is_backed_up) VALUES ('control', true)", ())
    with (
        contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        other.cursor().execute(WITH_KEY, ("m",))
        batch = pool.submit(together._many, [own("a"), own("m"), own("z")])
        wait_until_blocked()
        alone = pool.submit(together._one, own("z"))
        wait_until_blocked(2)
        other.rollback()
        made = [row["verdict"] for row in batch.result(20)]
        assert (made, alone.result(20)["verdict"]) == (["lined_up"] * 3, "known")
    assert deadlocks() == 0


def test_a_version_that_was_retired_meanwhile_starts_nothing(
    kernel: Kernel, settings: Settings, name: str
) -> None:
    with beginning(kernel, name) as begin, held(settings) as holder:
        sent = [begin("first"), begin("x"), begin(None)]
        holder.cursor().execute(
            "UPDATE definitions SET active = false, weight = NULL,"
            " retired_at = clock_timestamp() WHERE name = %s",
            (name,),
        )
        holder.commit()
        for each in sent:
            with pytest.raises(InvalidInput):
                each.result(20)
