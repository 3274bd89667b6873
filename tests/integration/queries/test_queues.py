"""What the queues show: what is lined up, for whom, and when its turn comes."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from sqlalchemy import Connection

from app import db, queries
from app.broker import presence
from app.protocol import lanes
from app.queries.queues import MOST_AHEAD
from app.settings import Settings
from chains.admission import MANY
from tests.integration.conftest import Kernel
from tests.integration.queries.test_listing import statements

NAMES = ["control", "stripe"]
OPERATING = Path(__file__).resolve().parents[3] / "ops" / "OPERATING.md"


@pytest.fixture
def backlog(settings: Settings, kernel: Kernel) -> Iterator[None]:
    """The queue `control` is backed up, its workers take one message a second, and it is full."""
    db.row("INSERT INTO queues (name, is_backed_up, rate) VALUES ('control', true, 1)", ())
    with redis.Redis.from_url(settings.redis_url) as client:
        client.lpush("control", *["{}"] * (lanes.MOST_MESSAGES + 1))
        yield
        client.flushdb()


def another_user(name: str) -> Kernel:
    row = db.row("SELECT create_user_v1(%s) AS id", (f"{name}@example.com",))
    assert row is not None
    return Kernel(row["id"])


def seen(kernel: Kernel, *, is_operator: bool = False) -> dict[str, Any]:
    """The queue `control` as this user sees it."""
    control, stripe = queries.queue_states(NAMES, kernel.user_id, is_operator=is_operator)
    assert (control["queue"], stripe["queue"]) == ("control", "stripe")
    assert (stripe["waiting"], stripe["estimate_seconds"], stripe["rate"]) == (0, 0, None)
    return control


def lined_up(kernel: Kernel, count: int = 1, **rest: Any) -> list[UUID]:
    return [kernel.start("noop_chain", **rest) for _ in range(count)]


def started_at(kernel: Kernel, workflow: UUID) -> datetime:
    at: datetime = kernel.workflow(workflow)["started_at"]
    return at


def test_without_a_backlog_nothing_waits(kernel: Kernel) -> None:
    kernel.start("noop_chain")
    for is_operator, users in ((True, 0), (False, None)):
        assert seen(kernel, is_operator=is_operator) == {
            "queue": "control",
            "is_backed_up": False,
            "waiting": 0,
            "users": users,
            "oldest_waiting_since": None,
            "rate": None,
            "estimate_seconds": 0,
            "workers": None,
        }


def test_users_see_their_own_lane_and_an_operator_sees_all(kernel: Kernel, backlog: None) -> None:
    bo, newcomer = another_user("bo"), another_user("cy")
    mine, others = lined_up(kernel, 7), lined_up(bo, 2)
    for who, waiting, ahead, oldest in (
        (kernel, 7, 9, started_at(kernel, mine[0])),
        (bo, 2, 5, started_at(bo, others[0])),
        (newcomer, 0, 2, None),
    ):
        shown = seen(who)
        assert (shown["is_backed_up"], shown["rate"], shown["users"]) == (True, 1.0, None)
        assert (shown["waiting"], shown["estimate_seconds"]) == (waiting, ahead)
        assert shown["oldest_waiting_since"] == oldest
    shown = seen(newcomer, is_operator=True)
    assert (shown["waiting"], shown["users"], shown["estimate_seconds"]) == (9, 2, 9)
    assert shown["oldest_waiting_since"] == started_at(kernel, mine[0])
    assert queries.lined_up(NAMES) == {"control": 9, "stripe": 0}


@pytest.mark.parametrize("name", ["ada", "bo", "cy"])
def test_the_estimate_is_the_order_in_which_lanes_take_turns(
    kernel: Kernel, backlog: None, name: str
) -> None:
    who = another_user(name)
    lined_up(another_user("ada"), 7)
    lined_up(another_user("bo"), 2)
    found = lanes.admit("control", 0)
    assert found is not None
    # That admission has measured a rate of its own.
    db.row("UPDATE queues SET rate = 1", ())
    ahead = seen(who)["estimate_seconds"]
    (workflow,) = lined_up(who)
    order: list[UUID] = []
    while (found := lanes.admit("control", 0)) is not None and found.admitted:
        order += [each.workflow_id for each in found.admitted]
    assert order.index(workflow) <= ahead <= order.index(workflow) + 2, "2: the other lanes"


def test_the_oldest_may_stand_behind_a_higher_priority(kernel: Kernel, backlog: None) -> None:
    (low,) = lined_up(kernel, priority=1)
    (high,) = lined_up(kernel, priority=9)
    first = db.row("SELECT workflow_id FROM lane_entries ORDER BY order_at LIMIT 1", ())
    assert first == {"workflow_id": high}
    for is_operator in (True, False):
        shown = seen(kernel, is_operator=is_operator)
        assert shown["oldest_waiting_since"] == started_at(kernel, low)


def test_nothing_is_estimated_if_nothing_is_taken(kernel: Kernel, backlog: None) -> None:
    presence.tell("one@here", ["stripe"])
    assert (seen(kernel)["workers"], seen(kernel)["estimate_seconds"]) == (0, None)
    presence.tell("two@here", ["control"])
    assert (seen(kernel)["workers"], seen(kernel)["estimate_seconds"]) == (1, 0)
    db.row("UPDATE queues SET rate = 0.001", ())
    assert (seen(kernel)["rate"], seen(kernel)["estimate_seconds"]) == (0.0, None)


def pages_read(ask: Callable[[], object]) -> int:
    """How many pages PostgreSQL reads for the statements of a query."""
    with statements() as sent:
        ask()
    total = 0
    with db.begin() as connection:
        for statement, parameters in sent:
            if statement.lstrip().startswith("SELECT"):
                total += pages_of(connection, statement, parameters)
            else:
                connection.exec_driver_sql(statement, parameters)
    return total


def pages_of(connection: Connection, statement: str, parameters: Any) -> int:
    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
    (plan,) = connection.exec_driver_sql(explained, parameters).scalar_one()
    pages: int = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return pages


def pages_of_detail(workflow: UUID, user_id: UUID) -> int:
    statement = "SELECT * FROM workflow_detail_v1(%s, %s, false, NULL, 1000, 60, 1000)"
    with db.begin() as connection:
        # A function that is new to its session also reads the catalog.
        _, pages = (pages_of(connection, statement, (workflow, user_id)) for _ in range(2))
    return pages


def test_a_long_queue_is_not_read_for_the_others_nor_for_a_place(
    kernel: Kernel, backlog: None
) -> None:
    lined_up(kernel)
    db.row(
        "INSERT INTO lane_entries"
        " SELECT queue, user_id, order_at - number * interval '1 ms', uuidv7(), key"
        "   FROM lane_entries, generate_series(1, 20000) AS number",
        (),
    )
    (workflow,) = lined_up(kernel)
    db.row("VACUUM (ANALYZE) lane_entries", ())
    others = ["stripe", "vercel", "openai", "http"]
    whole = pages_read(lambda: queries.lined_up(["control"]))
    assert whole > 200
    assert pages_read(lambda: queries.lined_up(["control", *others])) < whole + 40
    assert pages_read(lambda: queries.queue_states(others, kernel.user_id, is_operator=True)) < 80
    newcomer = another_user("bo").user_id
    assert pages_read(lambda: queries.queue_states(["control", *others], newcomer)) < 120
    assert pages_of_detail(workflow, kernel.user_id) < 80


def test_operators_are_told_the_bounds_that_hold() -> None:
    section = OPERATING.read_text().partition("## Backlogs\n")[2].partition("\n## ")[0]
    text = " ".join(section.split())
    words = {2: "two", 8: "eight"}
    for told in (
        f"more than {lanes.MOST_MESSAGES} messages",
        f"more than {MANY} others at once",
        f"the next {lanes.AHEAD_SECONDS} seconds",
        f"at least {words[lanes.LEAST_MESSAGES]} messages",
        f"At most {queries.MOST_LINED_UP:,} steps",
        f"its place in its lane, up to {MOST_AHEAD:,}",
    ):
        assert told in text, told
