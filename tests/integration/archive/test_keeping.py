"""What keeps a family from being archived, and what remains when it is."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from app import db, queries
from app.archive import moving
from app.archive.connecting import connected, dicts
from app.archive.holding import hold, release
from app.archive.restoring import restore
from app.db.models import Base
from app.errors import Conflict, NotFound
from app.protocol.controls import lock
from app.queries import ArchivedFilters, archived_list
from app.queries.archive import expiring
from app.record.verification import verify
from chains.catalogue import versions
from chains.commands.budget import change_budget
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.commands.pause import pause
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from chains.repair import rebuild
from chains.retention import job
from chains.starting.start import Started, start_workflow
from tests.integration.archive.conftest import make_family, move, rows_of, seen
from tests.integration.archive.test_job import pass_days, run
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop

UNDECIDED = (
    "INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload, effect_id,"
    " effect_workflow_id) VALUES ('stripe', 'd', 'k', '{}', 'e', %(root)s)"
)
DEAD = (
    "INSERT INTO dead_letters SELECT id, organisation_id, project_id, user_id, type, 'failed',"
    " NULL, NULL, NULL, 'broken', completed_at FROM workflows WHERE id = %(root)s"
)
REPLAYED = (
    DEAD + "; UPDATE dead_letters SET settled_at = now(), settled_as = 'replayed',"
    " replay_id = %(live)s"
)
TOLD = (
    "WITH m AS (INSERT INTO webhook_messages (organisation_id, user_id, type, workflow_id, data)"
    " SELECT organisation_id, user_id, 'workflow.succeeded', id, '{}' FROM workflows"
    " WHERE id = %(child)s RETURNING id)"
    " INSERT INTO webhook_sendings (message_id, endpoint_id, created_at, status, due_at)"
    " SELECT id, uuidv7(), now(), 'pending', now() FROM m"
)
SCHEDULED = (
    "INSERT INTO schedule_runs (schedule_id, kind, nominal_at, outcome, workflow_id, is_open)"
    " VALUES (uuidv7(), 'regular', now(), 'started', %(root)s, true)"
)
INTENT = (
    "INSERT INTO intents (workflow_id, step_key, generation, ordinal, operation, request, key)"
    " VALUES (%(root)s, 'first', 0, 0, 'order', '{}', 'k')"
)
BUDGET = "INSERT INTO budgets (workflow_id, amount, reserved) VALUES (%(root)s, 9, 1)"
STEP = "UPDATE steps SET {} WHERE workflow_id = %(child)s AND key = 'only'"


FORK_OF_CHILD = (
    "INSERT INTO workflows SELECT (jsonb_populate_record(w, jsonb_build_object('id', uuidv7(),"
    " 'parent_id', %(live)s::uuid, 'idempotency_key', NULL))).* FROM workflows AS w"
    " WHERE id = %(child)s; UPDATE workflows SET forked_from = (SELECT id FROM workflows"
    " WHERE parent_id = %(live)s) WHERE id = %(root)s"
)


REFUSALS = (
    ("UPDATE workflows SET attention = 'step_failed' WHERE id = %(child)s", "attention"),
    ("UPDATE workflows SET completed_at = NULL WHERE id = %(child)s", "not_ended"),
    (STEP.format("kind = 'undo', status = 'failed'"), "undoing"),
    (STEP.format("status = 'waiting'"), "undoing"),
    (STEP.format("reserved = 1"), "reserved"),
    (BUDGET, "reserved"),
    (INTENT, "open_call"),
    (UNDECIDED, "undecided_effect"),
    (DEAD, "dead_letter"),
    (REPLAYED, "dead_letter"),
    (TOLD, "webhooks"),
    (SCHEDULED, "schedule"),
    ("UPDATE workflows SET forked_from = %(child)s WHERE id = %(live)s", "live_fork"),
    ("UPDATE workflows SET forked_from = %(live)s WHERE id = %(root)s", "original"),
    (FORK_OF_CHILD, "original"),
)


def test_a_family_stays_while_anything_depends_on_it(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    live = kernel.start("noop_chain")
    with connected() as connection:
        for statement, refusal in REFUSALS:
            dicts(connection, "BEGIN")
            dicts(connection, statement, {"root": family[0], "child": family[1], "live": live})
            (found,) = moving.families(connection, [family[0]])
            dicts(connection, "ROLLBACK")
            assert (found.refusal, len(found.ids)) == (refusal, 2), statement
        assert moving.families(connection, [family[0]])[0].refusal is None


def test_a_held_family_is_neither_archived_nor_erased(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    pass_days(91)
    assert hold(family[1], "ops", "a dispute") == family[0]
    assert hold(family[0], "ops", "again") == family[0]
    assert run()["refused"] == {"held": 1}
    release(family[0], "ops")
    with pytest.raises(NotFound, match="not held"):
        release(family[0], "ops")
    assert run()["archived"] == 1
    hold(family[1], "ops", "another dispute")
    pass_days(401)
    assert run()["erased"] == 0
    release(family[1], "ops")
    assert run()["erased"] == 2
    with pytest.raises(Conflict, match="erased"):
        hold(family[0], "ops", "too late")
    with pytest.raises(NotFound, match="erased at"):
        queries.workflow_detail(family[0], kernel.user_id)
    (item, _), _ = archived_list(kernel.user_id, ArchivedFilters())
    assert item["erased_at"] is not None


@pytest.mark.parametrize(
    ("retention", "archived_after", "erased_after"),
    [
        ("never", None, None),
        ({"hot": "2d"}, 3, 401),
        ({"hot": "12h", "archive": "5d"}, 1, 6),
        ({"hot": "2d", "archive": "forever"}, 3, None),
    ],
)
def test_the_active_version_of_a_definition_says_how_long_its_workflows_are_kept(
    kernel: Kernel, retention: Any, archived_after: int | None, erased_after: int | None
) -> None:
    body = {"name": "brief", "do": noop("only")}
    versions.register(body, activates=True)
    kernel.start("brief")
    drive()
    versions.register({**body, "retention": retention}, activates=True)
    assert run()["archived"] == 0
    pass_days(archived_after or 1000)
    assert job.foresee()["families"] == (archived_after is not None)
    assert run()["archived"] == (archived_after is not None)
    if archived_after is not None:
        pass_days(erased_after or 1000)
        assert run()["erased"] == (erased_after is not None)


def test_a_shorter_archive_erases_only_after_days_in_which_it_is_counted(kernel: Kernel) -> None:
    body = {"name": "brief", "do": noop("only")}
    versions.register({**body, "retention": {"hot": "12h"}}, activates=True)
    kernel.start("brief")
    drive()
    pass_days(1)
    run()
    pass_days(100)
    assert expiring() == 0
    versions.register({**body, "retention": {"hot": "12h", "archive": "5d"}}, activates=True)
    done = run()
    assert (done["erased"], done["announced"], expiring()) == (0, 1, 1)
    assert job.foresee()["expiring"] == 1
    pass_days(6)
    done = run()
    assert (done["erased"], done["announced"]) == (0, 0)
    pass_days(2)
    assert run()["erased"] == 1
    assert expiring() == 0


def test_a_parent_is_kept_as_long_as_its_child(kernel: Kernel, family: tuple[UUID, UUID]) -> None:
    versions.register({"name": "kin", "do": noop("only"), "retention": "never"}, activates=True)
    pass_days(200)
    assert run()["archived"] == 0


def test_a_dry_run_tells_what_a_shorter_time_would_archive(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    hold(make_family(kernel)[0], "ops", "a dispute")
    pass_days(10)
    assert job.foresee()["families"] == 0
    found = job.foresee(hot=5 * 86400.0)
    assert (found["families"], found["workflows"]) == (1, 2)
    assert found["refused"] == {"held": 1}
    assert job.foresee("noop_chain", 86400.0)["families"] == 0
    assert rows_of(*family)["workflows"] == 2


def test_an_idempotency_key_is_answered_with_the_archived_workflow(kernel: Kernel) -> None:
    def once(**more: Any) -> Started:
        given = {"user_id": kernel.user_id, "type": "noop_chain", "idempotency_key": "once"}
        return start_workflow(**{"input": {}, **given, **more})

    first = once()
    drive()
    move(first.id)
    assert (once().id, once().created) == (first.id, False)
    with pytest.raises(Conflict, match="another body"):
        once(input={"other": 1})
    with pytest.raises(Conflict, match="another body"):
        once(version=1)
    restore(first.id, "ops")
    assert once().id == first.id


def test_controls_refuse_an_archived_workflow(
    kernel: Kernel, ada: Caller, family: tuple[UUID, UUID]
) -> None:
    move(family[0])
    controls: list[Callable[[], object]] = [
        lambda: kernel.cancel(family[0]),
        lambda: pause(ada, family[1], reason="why"),
        lambda: retry(ada, family[0]),
        lambda: change_budget(ada, family[0], "1.00"),
        lambda: give_signal(ada, family[0], Signal("ask", approved=True)),
    ]
    for control in controls:
        with pytest.raises(Conflict, match="archived"):
            control()
    eve = db.row("SELECT create_user_v1('eve@example.com') AS id", ())
    assert eve is not None
    with pytest.raises(NotFound):
        queries.workflow_detail(family[0], eve["id"])
    assert queries.workflow_detail(family[0], eve["id"], is_operator=True)["owner"]


def test_a_control_of_a_workflow_that_was_archived_meanwhile_says_so(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    move(family[0])
    with db.begin() as connection, pytest.raises(Conflict, match="just been archived"):
        lock(connection, family[0])


def test_a_restored_family_is_what_it_was_and_may_be_archived_again(
    kernel: Kernel, family: tuple[UUID, UUID]
) -> None:
    before = everything(), seen(family[0], kernel.user_id)
    pass_days(91)
    run()
    for is_new in (True, False):
        assert restore(family[1], "ops").is_new == is_new
    assert (everything(), seen(family[0], kernel.user_id)) == before
    assert list(rebuild.differences()) == []
    assert run()["archived"] == 0
    assert list(verify()) == []
    pass_days(91)
    assert run()["archived"] == 1
    assert seen(family[0], kernel.user_id) == before[1]
    assert list(verify()) == []


ODD = """
UPDATE workflows SET input = jsonb '{"n": 1.10, "e": 1e400, "t": "ä\\n\\u2028\\"$"}',
       request_hash = '\\x00ff0a', error = '{"code": "x"}' WHERE id = %(root)s;
UPDATE steps SET item = '1e-7', next_keys = ARRAY['a,b', '"', NULL, ''], wake_at = 'infinity',
       fence = uuidv7(), cost = 3 WHERE workflow_id = %(root)s;
INSERT INTO intents (workflow_id, step_key, generation, ordinal, operation, request, key,
                     resolution, response)
VALUES (%(root)s, 'first', 0, 0, 'order', '{ "b":1,\n"a" : 2.50 }', 'k', 'accepted', '{"id": 1.0}');
INSERT INTO budgets (workflow_id, amount) VALUES (%(root)s, 9);
INSERT INTO child_costs VALUES (%(root)s, %(child)s, 7);
INSERT INTO booked_effects VALUES (%(child)s, 'e', 'only', 1);
INSERT INTO dead_letters (workflow_id, organisation_id, project_id, user_id, type, cause,
                          error_code, ended_at, settled_at, settled_as, note, request)
SELECT id, organisation_id, project_id, user_id, type, 'failed', 'x', completed_at, now(),
       'dismissed', 'why', '\\x01' FROM workflows WHERE id = %(root)s;
INSERT INTO platform_logs (workflow_id, step_key, platform, action, status, response_time)
VALUES (%(child)s, 'only', 'stripe', 'stripe.charge', '200', 5);
INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload, effect_id, effect_workflow_id,
                                fate) VALUES ('stripe', 'd', 'k', '[1.0]', 'e', %(child)s, 'own');
INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload)
VALUES ('stripe', 'of another', 'k', '{}');
INSERT INTO artifacts (organisation_id, project_id, user_id, name, content_type, size, sha256,
                       storage_key)
SELECT organisation_id, project_id, user_id, 'n', 'image/png', 1, 'x', 'k' FROM workflows
 WHERE id = %(root)s;
INSERT INTO workflow_artifacts SELECT id, %(root)s FROM artifacts;
"""


def test_rows_of_every_table_come_back_as_they_were(
    kernel: Kernel, ada: Caller, family: tuple[UUID, UUID]
) -> None:
    asking = kernel.start(kernel.register({"approval": "ask", "timeout": "2h"}))
    drive()
    give_signal(ada, asking, Signal("ask", approved=True, comment="fine"))
    drive()
    db.row(ODD, {"root": family[0], "child": family[1]})
    before = everything()
    move(family[0], asking)
    kept = {"artifacts", "definitions", "definition_activations", "organisations", "projects"}
    kept |= {"schema_baseline", "users"}
    left = {name: rows for name, rows in everything().items() if rows and name not in kept}
    assert [rows[0].split(",")[2] for rows in left.values()] == ['"of another"'], left
    for root in (family[0], asking):
        restore(root, "ops")
    assert everything() == before


def test_a_version_stays_for_its_archived_workflows_also_if_it_is_retired(kernel: Kernel) -> None:
    body = {"name": "brief", "do": noop("only")}
    versions.register(body, activates=True)
    workflow = kernel.start("brief")
    drive()
    versions.register({**body, "description": "new"}, activates=True)
    versions.retire("brief", 1)
    move(workflow)
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        db.row("DELETE FROM definitions WHERE name = 'brief' AND version = 1", ())
    restore(workflow, "ops")
    assert kernel.workflow(workflow)["version"] == 1


def test_a_fork_of_an_archived_workflow_restores_it(
    kernel: Kernel, ada: Caller, family: tuple[UUID, UUID]
) -> None:
    pass_days(91)
    run()
    with pytest.raises(Conflict, match="archived"):
        fork(ada, family[0], from_step="each", is_dry=True)
    made = fork(ada, family[0], from_step="each", idempotency_key="f").id
    drive()
    assert kernel.workflow(made)["status"] == "succeeded"
    pass_days(91)
    assert run()["archived"] == 2
    again = fork(ada, family[0], from_step="each", idempotency_key="f")
    assert (again.id, again.created, rows_of(family[0])) == (made, False, {})
    states = {row["state"] for row in db.rows("SELECT state FROM archive_bundles", ())}
    assert states == {"archived", "erased"}
    assert list(verify()) == []


_OF_NO_WORKFLOW = {"clock_offset", "clock_moves", "reconciler_beat"}


def everything() -> dict[str, list[str]]:
    """All rows of all tables, but those of the archive and the clock, as texts."""
    found = {}
    for table in Base.metadata.tables:
        if not table.startswith("archive") and table not in _OF_NO_WORKFLOW:
            rows = db.rows(f"SELECT t::text AS t FROM {table} AS t", ())
            found[table] = sorted(row["t"] for row in rows)
    return found
