"""Passes of the reconciler over deliveries: orphans hold up no workflow and read no more than they
must."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app import db
from app.platform import Delivery, Trace
from app.protocol import outcomes
from app.protocol.outcomes import Finish
from chains.commands.accept_delivery import accept_delivery
from chains.commands.command import Caller
from chains.commands.resolve import dismiss
from chains.repair import orphans
from chains.repair.reconcile import reconcile
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.orphaned import (
    accepted,
    begun,
    found,
    tell,
    waits,
)

pytestmark = pytest.mark.usefixtures("agreeing", "reconciler_was_there")


def test_a_workflow_that_somebody_holds_is_left_to_the_next_pass(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    waits(claim)
    tell(workflow, "double")
    with db.begin() as holder:
        lock = text("SELECT FROM workflows WHERE id = :id FOR NO KEY UPDATE")
        holder.execute(lock, {"id": workflow})
        # To wait for the lock would be to wait for ever: it is this thread's own.
        orphans.decide(10)
        assert found(kernel, workflow) == []
    orphans.decide(10)
    assert found(kernel, workflow) == ["double"]


def test_deliveries_that_cannot_be_decided_yet_hold_up_no_others(kernel: Kernel) -> None:
    held, claim = begun(kernel)
    tell(held, "unsettled")
    outcomes.fail_step(claim, NOTHING, {"code": "gone", "message": "gone"})
    workflow, claim = begun(kernel)
    waits(claim)
    tell(workflow, "double")
    orphans.decide(1)
    assert (found(kernel, held), found(kernel, workflow)) == ([], ["double"])


@pytest.fixture
def poisoned(kernel: Kernel) -> Callable[[], None]:
    """The decision over the effect `poison` raises, until the function returned is called."""
    db.row(POISON, ())

    def cured() -> None:
        db.row("DROP FUNCTION poison CASCADE", ())

    return cured


POISON = """
CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'it cannot be told'; END $$;
CREATE TRIGGER poison BEFORE UPDATE OF fate ON webhook_deliveries
  FOR EACH ROW WHEN (NEW.effect_id = 'poison') EXECUTE FUNCTION poison()
"""


def put_off() -> tuple[int, float | None]:
    """How often the decision has failed, and in how many seconds it is due again."""
    row = db.row(
        "SELECT decision_failures AS n, extract(epoch FROM decide_after - clock_timestamp()) AS s"
        " FROM webhook_deliveries WHERE effect_id = 'poison'",
        (),
    )
    assert row is not None
    return row["n"], None if row["s"] is None else float(row["s"])


def fail_again() -> None:
    db.row("UPDATE webhook_deliveries SET decide_after = clock_timestamp()", ())
    orphans.decide(1)


def test_a_delivery_whose_decision_always_fails_holds_up_none_behind_it(
    kernel: Kernel, poisoned: Callable[[], None]
) -> None:
    ill, claim = begun(kernel)
    waits(claim)
    tell(ill, "poison")
    workflow, claim = begun(kernel)
    waits(claim)
    tell(workflow, "double")
    with capture_logs() as logs:
        orphans.decide(1)
    assert [line["failures"] for line in logs if line["event"] == "orphan.not_decided"] == [1]
    orphans.decide(1)
    assert (found(kernel, ill), found(kernel, workflow)) == ([], ["double"])
    failures, seconds = put_off()
    assert (failures, 0 < (seconds or 0) <= 2) == (1, True)


def test_a_delivery_that_cannot_be_decided_calls_a_person_until_it_can(
    kernel: Kernel, poisoned: Callable[[], None]
) -> None:
    ill, claim = begun(kernel)
    waits(claim)
    tell(ill, "poison")
    for _ in range(orphans.MOST_FAILURES - 1):
        fail_again()
    assert kernel.workflow(ill)["attention"] is None
    assert (put_off()[1] or 0) > 60
    with capture_logs() as logs:
        fail_again()
    assert [line["is_for_a_person"] for line in logs if "failures" in line] == [True]
    assert kernel.workflow(ill)["attention"] == "delivery_undecided"
    assert (put_off()[1] or 0) > 80_000
    poisoned()
    fail_again()
    assert found(kernel, ill) == ["poison"]
    assert kernel.workflow(ill)["attention"] is None
    kinds = [event["type"] for event in kernel.events(ill)]
    assert (kinds.count("AttentionNeeded"), kinds.count("AttentionResolved")) == (1, 1)


def call_in_vain(kernel: Kernel, ill: UUID) -> None:
    """Have the workflow call for a person, as a delivery of it cannot be decided."""
    tell(ill, "poison")
    for _ in range(orphans.MOST_FAILURES):
        fail_again()
    assert kernel.workflow(ill)["attention"] == "delivery_undecided"


def test_who_was_called_for_a_delivery_is_called_for_what_came_after_it(
    kernel: Kernel, poisoned: Callable[[], None]
) -> None:
    ill, claim = begun(kernel)
    accepted(claim)
    outcomes.finish_step(claim, NOTHING, Finish({}))
    call_in_vain(kernel, ill)
    after = kernel.claim(ill, "after")
    outcomes.fail_step(after, NOTHING, {"code": "gone", "message": "gone"}, is_holding=True)
    poisoned()
    fail_again()
    assert kernel.workflow(ill)["attention"] == "step_failed"


def test_a_delivery_of_an_ended_workflow_can_be_dismissed(
    kernel: Kernel, poisoned: Callable[[], None], ada: Caller
) -> None:
    ill, claim = begun(kernel)
    accepted(claim)
    for each in (claim, None):
        outcomes.finish_step(each or kernel.claim(ill, "after"), NOTHING, Finish({}))
    assert kernel.workflow(ill)["status"] == "succeeded"
    call_in_vain(kernel, ill)
    assert dismiss(ada, ill, "seen").result == "dismissed"
    assert kernel.workflow(ill)["attention"] is None


def test_whatever_goes_wrong_with_orphans_holds_up_no_workflow(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    waits(claim)
    kernel.due(workflow, "render")
    db.row("UPDATE workflows SET next_wake_at = playalter_now()", ())
    db.row("ALTER TABLE webhook_deliveries RENAME COLUMN fate TO fate_", ())
    try:
        with capture_logs() as logs:
            assert reconcile() == 1
    finally:
        db.row("ALTER TABLE webhook_deliveries RENAME COLUMN fate_ TO fate", ())
    assert "reconcile.part_failed" in [line["event"] for line in logs]
    left = "SELECT FROM workflows WHERE next_wake_at <= playalter_now()"
    assert db.rows(left, ()) == []


MANY = 20_000
FILL = """
INSERT INTO steps (workflow_id, key, position, action, status, external_id)
SELECT :id, 'many[' || n || ']', n, 'replicate.predict', 'succeeded', 'e' || n
  FROM generate_series(1, :many) AS n;
INSERT INTO intents (workflow_id, step_key, generation, ordinal, operation, request, key,
                     effect_address)
SELECT :id, 'many[' || n || ']', 0, 0, 'files.create#target', '{}', 'k',
       'https://vendor.example/v1/files/' || n
  FROM generate_series(1, :many) AS n;
INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload, effect_id,
                                effect_workflow_id, effect_step_key, fate)
SELECT 'replicate', 'd' || n, 'k', '{}', 'e' || n, CASE WHEN n % 2 = 0 THEN :id END,
       CASE WHEN n % 2 = 0 THEN 'many[' || n || ']' END, CASE WHEN n % 2 = 0 THEN 'own' END
  FROM generate_series(1, :many) AS n;
ANALYZE steps, intents, webhook_deliveries
"""


EMPTY = """
DELETE FROM intents WHERE step_key LIKE 'many%';
DELETE FROM steps WHERE key LIKE 'many%'
"""


def rows_read(table: str) -> int:
    """How many rows were read by reading the whole of the table."""
    # What a session has counted is told at once where it asks for its own counts.
    db.row("SELECT pg_stat_force_next_flush()", ())
    row = db.row("SELECT seq_tup_read AS n FROM pg_stat_user_tables WHERE relname = %s", (table,))
    assert row is not None
    return int(row["n"])


def test_among_many_rows_nothing_is_read_but_what_is_undecided(kernel: Kernel) -> None:
    workflow, claim = begun(kernel)
    with db.begin() as connection:
        connection.execute(text(FILL), {"id": workflow, "many": MANY})
    before = {table: rows_read(table) for table in ("steps", "intents", "webhook_deliveries")}
    for number in range(8):
        tell(workflow, f"own{number}", "processing")
        stranger = Trace(f"s{number}", addresses=("https://elsewhere.example",))
        delivery = Delivery(f"s{number}", None, "prediction.starting", {}, stranger)
        accept_delivery("replicate", delivery)
        orphans.decide(10)
    waits(claim, "own7")
    tell(workflow, "own7")
    orphans.decide(100)
    assert len(found(kernel, workflow)) == 7
    assert {table: rows_read(table) - count for table, count in before.items()} == {
        "steps": 0,
        "intents": 0,
        "webhook_deliveries": 0,
    }
    db.row(EMPTY.replace("%", "%%"), ())
