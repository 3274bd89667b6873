"""A dead letter is replayed once, whoever else asks for its replay or forks it at the same time."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, InvalidInput
from app.queries.dead_letters import DeadLetters
from chains.commands import dead_letters as commands
from chains.commands.command import Caller
from chains.commands.dead_letters import Part, Settled
from chains.commands.fork import fork
from chains.commands.replay import BEGINNING, FAILED_STEP, Replay, Replayed, replay
from chains.starting.start import start_workflow
from tests.integration.commands.test_dead_letters import (
    KEPT,
    PICKY,
    failed,
    listed,
    others,
    replay_of,
)
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive
from tests.unit.definitions import fail

_WAITING = (
    "SELECT count(*) AS n FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextlib.contextmanager
def held(workflow: UUID) -> Iterator[Callable[[int], None]]:
    """Hold the workflow's row; the function lets it go when so many transactions wait for it."""
    holder = db.connect()
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM workflows WHERE id = %s FOR UPDATE", (workflow,))

    def let_go(count: int) -> None:
        wait_for(count)
        holder.commit()

    yield let_go
    holder.close()


def wait_for(count: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and db.row(_WAITING, ()) != {"n": count}:
        time.sleep(0.01)


def in_turn(workflow: UUID, in_threads: Threads, *asked: Callable[[], Any]) -> tuple[Any, Any]:
    """The results of two commands. The first one waits for the workflow's row while the second one
    begins, and takes the row first."""

    def second() -> Any:
        wait_for(1)
        return asked[1]()

    with held(workflow) as let_go:
        first_result, second_result, _ = in_threads([asked[0], second, partial(let_go, 2)])
    return first_result, second_result


@pytest.mark.parametrize("node", [KEPT, fail("f")], ids=["continued", "started"])
def test_a_dead_letter_is_replayed_once_by_requests_at_the_same_time(
    kernel: Kernel, ada: Caller, in_threads: Threads, node: dict[str, Any]
) -> None:
    workflow = failed(kernel, node)

    def ask(number: int) -> UUID | None:
        with contextlib.suppress(Conflict):
            return replay(ada, workflow, Replay("failed_step", {"n": number})).replay_id
        return None

    asked: list[Callable[[], Any]] = [partial(ask, number) for number in (1, 1, 2, 2)]
    with held(workflow) as let_go:
        made = {*in_threads([*asked, partial(let_go, 4)])}
    assert made - {None} == {replay_of(workflow)}
    assert others(kernel, workflow) == 1
    for given in (None, {"n": 3}):
        with pytest.raises(Conflict, match=str(replay_of(workflow))):
            replay(ada, workflow, Replay(BEGINNING, given))


@pytest.mark.parametrize("begins", [FAILED_STEP, BEGINNING])
def test_a_replay_that_is_not_recorded_yet_has_started_nothing(
    kernel: Kernel, ada: Caller, in_threads: Threads, begins: str
) -> None:
    workflow = failed(kernel)

    def look() -> int:
        wait_for(1)
        seen = others(kernel, workflow)
        let_go(1)
        return seen

    with held(workflow) as let_go:
        done, seen = in_threads([partial(replay, ada, workflow, Replay(begins)), look])
    assert (seen, others(kernel, workflow)) == (0, 1)
    assert done.replay_id == replay_of(workflow)


@pytest.mark.parametrize("begins", [FAILED_STEP, BEGINNING])
def test_a_fork_by_hand_just_before_the_commit_of_a_replay_refuses_it(
    kernel: Kernel, ada: Caller, in_threads: Threads, begins: str
) -> None:
    workflow = failed(kernel)
    by_hand, refused = in_turn(
        workflow,
        in_threads,
        lambda: fork(ada, workflow, from_step="f").id,
        lambda: commands.replay_many(ada, [workflow], Replay(begins), Part(), is_dry=False)[0],
    )
    assert [(each.is_ok, each.result) for each in refused] == [(False, "replayed")]
    assert str(by_hand) in refused[0].detail
    assert by_hand == replay_of(workflow)
    assert others(kernel, workflow) == 1


@pytest.mark.parametrize("node", [KEPT, fail("f")], ids=["continued", "started"])
def test_the_request_that_replays_is_the_one_that_is_known(
    kernel: Kernel, ada: Caller, in_threads: Threads, node: dict[str, Any]
) -> None:
    workflow = failed(kernel, node)
    by_filter = DeadLetters(cause="failed")

    def ask(request_id: str) -> list[Settled]:
        return commands.replay_many(
            ada, by_filter, Replay(), Part(), is_dry=False, request_id=request_id
        )[0]

    first, second = in_turn(workflow, in_threads, partial(ask, "first"), partial(ask, "second"))
    assert [(each.is_ok, each.replay_id) for each in first] == [(True, replay_of(workflow))]
    assert [(each.is_ok, each.result) for each in second] == [(False, "replayed")]
    drive()
    assert len(listed(kernel)) == 1, "the replay has failed too"
    assert replay(ada, workflow, Replay(), request_id="first").result == "known"
    with pytest.raises(Conflict, match="replays it already"):
        replay(ada, workflow, Replay(), request_id="second")
    assert ask("first") == []


def test_a_request_sent_twice_at_the_same_time_gets_one_answer(
    kernel: Kernel, ada: Caller, in_threads: Threads
) -> None:
    workflow = failed(kernel)
    ask = partial(replay, ada, workflow, Replay(BEGINNING), request_id="once")
    first, second = in_turn(workflow, in_threads, ask, ask)
    assert first == Replayed("started", None, replay_of(workflow))
    assert second == Replayed("known", None, replay_of(workflow))


def test_a_request_that_was_refused_is_not_known_after_a_fork_by_hand(
    kernel: Kernel, ada: Caller
) -> None:
    workflow = failed(kernel, input_schema=PICKY)
    with pytest.raises(InvalidInput):
        replay(ada, workflow, Replay(BEGINNING, {"n": "x"}), request_id="once")
    fork(ada, workflow, from_step="f")
    with pytest.raises(Conflict, match="replays it already"):
        replay(ada, workflow, Replay(), request_id="once")


@pytest.mark.parametrize("node", [KEPT, fail("f")], ids=["continued", "started"])
def test_a_users_own_key_that_reads_as_a_replays_is_no_replay(
    kernel: Kernel, ada: Caller, node: dict[str, Any]
) -> None:
    workflow = failed(kernel, node)
    own = start_workflow(
        user_id=ada.id,
        type=str(kernel.workflow(workflow)["type"]),
        input={},
        idempotency_key=f"replay-{workflow.hex}",
    ).id
    assert replay(ada, workflow, Replay()).replay_id == replay_of(workflow) != own
