"""What a step that leaves its lane costs must not depend on how many others wait in it."""

from uuid import UUID

import redis

from app import db
from tests.integration.conftest import Kernel
from tests.integration.queries.test_queues import pages_of
from tests.integration.starting.test_admission import back_up, lined_up, many_messages


def test_to_leave_a_long_lane_costs_as_little_as_to_leave_a_short_one(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        (workflow,) = lined_up(kernel)
    short = pages_to_leave(workflow)
    db.row(
        "INSERT INTO lane_entries SELECT queue, user_id, order_at + n * interval '1 ms',"
        " gen_random_uuid(), key FROM lane_entries, generate_series(1, 20000) AS n",
        (),
    )
    added = [after - before for after, before in zip(pages_to_leave(workflow), short, strict=True)]
    assert max(added) <= 8, added  # the index is higher now


def pages_to_leave(workflow: UUID) -> list[int]:
    """How many pages each way to leave the lane reads; nothing is changed."""
    calls = (
        "SELECT * FROM claim_step_v1(%s, 'first', 60, 60, 30)",
        "SELECT * FROM claim_siblings_v1(%s, ARRAY['first'], 60, 60)",
        "SELECT leave_lanes_v1(%s)",
        "SELECT has_lane_entry_v1(%s, 'first', 'control.noop')",
    )
    found = []
    with db.engine().connect() as connection:
        for call in calls:
            for _ in range(2):  # a function that is new to its session also reads the catalog
                pages = pages_of(connection, call, (workflow,))
                connection.rollback()
            found.append(pages)
    return found
