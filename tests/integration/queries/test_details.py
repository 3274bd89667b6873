"""A workflow with its steps is read by one statement, whatever else the process does."""

from contextlib import ExitStack

from app import db, queries
from app.db.baseline import FUNCTIONS
from app.settings import Settings
from tests.integration.conftest import Kernel


def test_a_workflow_is_read_while_all_connections_for_transactions_are_taken(
    kernel: Kernel, settings: Settings
) -> None:
    workflow = kernel.start("noop_chain")
    with ExitStack() as held:
        for _ in range(2 * settings.database_pool):
            held.enter_context(db.begin())
        shown = queries.workflow_detail(workflow, kernel.user_id)
    assert [step["key"] for step in shown["steps"]] == ["first", "second", "third"]


def test_functions_that_read_for_answers_see_one_moment(settings: Settings) -> None:
    functions = {file.stem for file in (FUNCTIONS / "reading").glob("*.sql")}
    assert "workflow_detail_v1" in functions
    rows = db.rows(
        "SELECT proname, provolatile FROM pg_proc WHERE proname = ANY (%s)", ([*functions],)
    )
    # Each statement of a volatile function would see what was committed until then.
    assert {row["proname"]: row["provolatile"] for row in rows} == dict.fromkeys(functions, "s")
