"""An idempotency key stands for one start, also if a start is known only by its answer."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import db
from app.errors import Conflict
from chains.commands.command import caller_of
from chains.commands.fork import fork
from chains.starting.start import start_workflow
from chains.starting.writing import Deferral
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.integration.flow.gathering import count, debounced, push
from tests.unit.definitions import noop

Way = Callable[[Kernel, str, UUID], Any]


def at_once(kernel: Kernel, name: str, _: UUID) -> Any:
    return start_workflow(
        user_id=kernel.user_id, type=name, input={}, idempotency_key="k", version=1
    )


def later(kernel: Kernel, name: str, _: UUID) -> Any:
    return start_workflow(
        user_id=kernel.user_id,
        type=name,
        input={},
        idempotency_key="k",
        deferral=Deferral(None, 60.0, None),
    )


def forked(kernel: Kernel, _: str, source: UUID) -> Any:
    return fork(caller_of(kernel.user_id), source, from_step="b", idempotency_key="k")


@pytest.mark.parametrize("start", [at_once, later, forked])
def test_a_key_that_another_request_joins_with_meanwhile_starts_no_second_workflow(
    kernel: Kernel, raw: Callable[[], Any], start: Way
) -> None:
    name = kernel.register(noop("b"))
    source = kernel.start(name)
    drive()
    batch = push(kernel, debounced(kernel), {}).id
    other = raw()
    with other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(idempotency_lock_v1(%s, 'k'))", (str(kernel.user_id),)
        )
        cursor.execute(
            "INSERT INTO start_handles (id, user_id, workflow_id, idempotency_key, request_hash)"
            " VALUES (%s, %s, %s, 'k', 'other')",
            (str(uuid4()), str(kernel.user_id), str(batch)),
        )
    found: list[Conflict] = []

    def late() -> None:
        try:
            start(kernel, name, source)
        except Conflict as err:
            found.append(err)
        finally:
            db.release()

    thread = threading.Thread(target=late)
    thread.start()
    until = time.monotonic() + 10
    while not db.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", ()):
        assert time.monotonic() < until, found
        time.sleep(0.005)
    other.commit()
    thread.join(10)
    (err,) = found
    assert err.code == "idempotency_key_reused"
    assert count("workflows") == 2
