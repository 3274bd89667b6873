"""Every table with rows of workflows is moved to the bundles, or it is decided why it is not."""

from app.archive.tables import MOVED
from app.db.models import Base
from chains.starting.start import start_workflow
from tests.integration.archive.conftest import move
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop

NAMES = {"workflow_id", "workflow_ids", "effect_workflow_id", "ancestor_id"}
STAYS = {
    "archived": "is what is left",
    "artifacts": "files stay as long as they would have",
    "platform_objects": "are free, or stay claimed for ever",
    "batch_lines": "what is paid outlives its workflow; an answer goes when its step has ended",
    "known_results": "lead to nothing then, and are deleted a month after they were made",
    "ledger_entries": "the books are kept for ever; they name no person",
    "webhook_messages": "what was told to an endpoint, kept by its own time",
    "schedule_runs": "belong to the schedule",
    "schedule_stops": "are gone before the workflow has ended or soon after",
    "trigger_matches": "belong to the trigger",
    "event_waits": "belong to the event, and are deleted with it or when no step waits",
    "start_handles": "keep the answers to requests with an idempotency key",
    "singletons": "are trimmed when the workflow has ended",
    "start_gatherings": "are trimmed when the workflow has ended",
    "start_items": "are trimmed a day after the end",
    "flow_entries": "are gone when the workflow starts or ends",
    "flow_turns": "are gone when the workflow has ended",
    "lane_entries": "are gone when the workflow starts",
    "admissions": "are taken out soon",
    "watched_workflows": "expire soon",
    "allowance_holds": "end with the work, or when another step finds too little",
}


def test_each_table_of_workflows_is_moved_or_stays_for_a_reason() -> None:
    found = {
        name
        for name, table in Base.metadata.tables.items()
        if NAMES & set(table.columns.keys()) and name not in MOVED
    }
    assert found == set(STAYS)


def test_a_request_that_was_answered_with_another_workflow_stays_known_after_the_archive(
    kernel: Kernel,
) -> None:
    name = kernel.register(noop("a"), flow={"singleton": {"mode": "skip"}})
    live = kernel.start(name)

    def again() -> tuple[object, bool]:
        started = start_workflow(user_id=kernel.user_id, type=name, input={}, idempotency_key="k")
        return started.id, started.created

    assert again() == (live, False)
    drive()
    move(live)
    assert again() == (live, False)
