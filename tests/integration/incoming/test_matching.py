"""Events that were stored and not matched are matched later, once, whoever does it."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.settings import Settings
from chains.catalogue import versions
from chains.incoming import intake, matching, triggers
from chains.incoming.events import Incoming
from chains.incoming.triggers import Wanted
from chains.repair.housekeeping import clean_events_in
from chains.repair.reconcile import reconcile
from tests.forgetting import forget
from tests.integration.conftest import Kernel, Threads

PAID = Wanted("order.paid", "noop_chain", input={})


@pytest.fixture
def trigger(kernel: Kernel) -> Any:
    """A trigger of the user."""
    return triggers.create(kernel.user_id, "orders", PAID)


def paid(number: int = 1, **fields: Any) -> Incoming:
    """An event of the shop."""
    return Incoming("shop", str(number), "order.paid", {"n": number}, **fields)


def stored(kernel: Kernel, *events: Incoming, depth: int = 0) -> list[UUID]:
    """The rows of events that are stored, and that nobody has matched."""
    return [each.id for each in intake.store(kernel.user_id, events, depth=depth)]


def make_due() -> None:
    """Let the time pass that those who store events have for them."""
    db.row("UPDATE incoming_events SET match_after = clock_timestamp()", ())
    db.row("UPDATE trigger_matches SET act_after = clock_timestamp()", ())


def outcomes() -> list[tuple[str, str | None]]:
    """The outcome of each match, with its reason, by event."""
    rows = db.rows("SELECT outcome, reason FROM trigger_matches ORDER BY event_id, trigger_id", ())
    return [(row["outcome"], row["reason"]) for row in rows]


def starts_of(trigger: Any) -> list[Any]:
    """The workflows that the trigger started."""
    return db.rows("SELECT id FROM workflows WHERE idempotency_key LIKE 'event:%%'", ())


def test_an_event_whose_process_died_is_matched_by_the_reconciler(
    kernel: Kernel, trigger: Any
) -> None:
    stored(kernel, *map(paid, range(3)))
    reconcile()
    assert outcomes() == []  # its process still has time for it
    make_due()
    reconcile()
    reconcile()
    assert outcomes() == [("started", None)] * 3
    assert len(starts_of(trigger)) == 3


def test_a_process_that_dies_between_start_and_record_starts_nothing_twice(
    kernel: Kernel, trigger: Any
) -> None:
    (event_id,) = stored(kernel, paid())
    matching.match_at_once([event_id])
    first = starts_of(trigger)
    # The record of the start is lost. Its input is made differently meanwhile.
    db.row("UPDATE trigger_matches SET outcome = 'pending', workflow_id = NULL", ())
    triggers.replace(
        kernel.user_id, "orders", Wanted("x", "noop_chain", input={"n": {"$": "event.data.n"}})
    )
    make_due()
    reconcile()
    assert outcomes() == [("started", None)]
    assert starts_of(trigger) == first
    row = db.row("SELECT workflow_id AS id FROM trigger_matches", ())
    assert [row] == first


def test_matchers_at_the_same_time_start_each_workflow_once(
    kernel: Kernel, trigger: Any, in_threads: Threads
) -> None:
    ids = stored(kernel, *map(paid, range(20)))
    in_threads([lambda: matching.match_at_once(ids) for _ in range(4)])
    make_due()
    in_threads([matching.sweep for _ in range(3)])
    assert outcomes() == [("started", None)] * 20
    assert len(starts_of(trigger)) == 20


def test_an_event_of_a_long_chain_starts_nothing(kernel: Kernel, trigger: Any) -> None:
    ids = [
        *stored(kernel, paid(1), depth=matching.MOST_DEPTH - 1),
        *stored(kernel, paid(2), depth=matching.MOST_DEPTH),
    ]
    matching.match_at_once(ids)
    first, second = outcomes()
    assert first == ("started", None)
    assert second[0] == "stopped"
    assert "a loop: 10 events have led to this one" in str(second[1])


def test_one_event_starts_so_many_workflows_and_no_more(kernel: Kernel) -> None:
    triggers.create(kernel.user_id, "a", PAID)
    db.row(
        "INSERT INTO event_triggers (organisation_id, project_id, user_id, name, event_type,"
        " definition, input) SELECT organisation_id, project_id, user_id, 'b' || n, event_type,"
        " definition, input FROM event_triggers, generate_series(1, 104) AS n",
        (),
    )
    ids = stored(kernel, paid())
    matching.match_at_once(ids)
    assert [outcome for outcome, _ in outcomes()].count("stopped") == 5
    assert "which is the most" in next(str(why) for what, why in outcomes() if what == "stopped")
    # A pass handles as many as it can in its time.
    for _ in range(matching.MOST_STARTS):
        make_due()
        reconcile()
        if not any(outcome == "pending" for outcome, _ in outcomes()):
            break
    assert [outcome for outcome, _ in outcomes()].count("started") == matching.MOST_STARTS


def test_a_match_that_is_pending_ends_if_its_trigger_is_deleted(
    kernel: Kernel, trigger: Any
) -> None:
    (event_id,) = stored(kernel, paid())
    matching.match_at_once([event_id])
    db.row("UPDATE trigger_matches SET outcome = 'pending'", ())
    triggers.delete(kernel.user_id, "orders")
    make_due()
    reconcile()
    assert outcomes() == [("stopped", "the trigger was deleted")]


def test_an_event_that_cannot_be_handled_delays_no_others(kernel: Kernel, trigger: Any) -> None:
    bad, *_ = stored(kernel, *map(paid, range(3)))
    # No process of ours writes such a row.
    db.row("UPDATE incoming_events SET type = 'order.paid', depth = -1 WHERE id = %s", (bad,))
    broken = "CREATE TRIGGER broken BEFORE INSERT ON trigger_matches FOR EACH ROW"
    db.row(f"{broken} WHEN (NEW.event_id = '{bad}') EXECUTE FUNCTION note_sleep_v1()", ())
    make_due()
    reconcile()
    assert outcomes() == [("started", None)] * 2
    row = db.row(
        "SELECT failures, match_after > clock_timestamp() AS later FROM incoming_events"
        " WHERE id = %s",
        (bad,),
    )
    assert row == {"failures": 1, "later": True}


def test_a_definition_that_is_retired_meanwhile_refuses_the_start(kernel: Kernel) -> None:
    name = kernel.register({"step": "a", "action": "control.noop", "with": {"n": 1}})
    triggers.create(kernel.user_id, "pinned", Wanted("*", name, version=1, input={}))
    versions.register(
        {"name": name, "do": {"step": "a", "action": "control.noop", "with": {"n": 2}}},
        activates=True,
    )
    versions.retire(name, 1)
    matching.match_at_once(stored(kernel, paid()))
    ((outcome, reason),) = outcomes()
    assert (outcome, reason) == (
        "refused",
        f"/version: {name} has no version 1 that can be started",
    )


def test_old_events_are_deleted_and_stay_counted(
    kernel: Kernel, trigger: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, pending, unmatched, new = stored(kernel, *map(paid, range(4)))
    matching.match_at_once([old, pending, new])
    db.row(
        "UPDATE incoming_events SET received_at = received_at - interval '3 days' WHERE id <> %s",
        (new,),
    )
    db.row("UPDATE trigger_matches SET outcome = 'pending' WHERE event_id = %s", (pending,))
    monkeypatch.setenv("EVENTS_IN_DAYS", "2")
    forget()
    assert clean_events_in() == {"deleted": 1}
    left = {row["id"] for row in db.rows("SELECT id FROM incoming_events", ())}
    assert left == {pending, unmatched, new}
    counts = triggers.show(kernel.user_id, "orders")["counts"]
    assert (counts["started"], counts["pending"], counts["matched"]) == (2, 1, 3)


def test_a_process_that_knows_old_triggers_reads_the_new_ones(kernel: Kernel, trigger: Any) -> None:
    matching.match_at_once(stored(kernel, paid(1)))
    # Another process changes the trigger: this one is told by the revision alone.
    db.row("UPDATE event_triggers SET filter = 'event.data.n == `3`'", ())
    db.row("UPDATE event_trigger_revisions SET revision = revision + 1", ())
    matching.match_at_once(stored(kernel, paid(2), paid(3)))
    assert outcomes() == [("started", None)] * 2


def test_the_start_is_put_off_while_it_cannot_be_made(kernel: Kernel, trigger: Any) -> None:
    (event_id,) = stored(kernel, paid())
    refuse = "ALTER TABLE workflows ADD CONSTRAINT none CHECK (false) NOT VALID"
    db.row(refuse, ())
    matching.match_at_once([event_id])
    assert outcomes() == [("pending", None)]
    make_due()
    reconcile()
    assert outcomes() == [("pending", None)]
    db.row("ALTER TABLE workflows DROP CONSTRAINT none", ())
    make_due()
    reconcile()
    assert outcomes() == [("started", None)]
