"""Which version of a prompt a workflow uses: it is decided when the workflow starts, and stays."""

import contextlib
import threading
import time
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import extensions

from app import db
from app.errors import Conflict, Permanent
from app.settings import Settings
from chains.catalogue import versions
from chains.catalogue.prompts import deleting, labels
from chains.catalogue.prompts.subject import Author
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.commands.replay import Replay, replay
from chains.language.faults import DefinitionRefused
from chains.repair import rebuild
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, run
from tests.integration.prompts.conftest import LABEL, Prompts


@pytest.fixture
def two(prompts: Prompts) -> Prompts:
    """A prompt of two versions, a label that points to the first, and a definition with it."""
    prompts.make("One: {{ brief }}", LABEL)
    prompts.make("Two: {{ brief }}")
    prompts.register()
    return prompts


def reach(workflow: UUID) -> None:
    """Run the step before the one with the prompt."""
    assert run(workflow, "a", "control.noop")


def test_a_label_that_moves_while_a_workflow_runs_changes_nothing_in_it(two: Prompts) -> None:
    before = two.start()
    two.move(2)
    after = two.start()
    two.rollback()
    last = two.start()
    for workflow in (before, after, last):
        reach(workflow)
    assert [two.used(each) for each in (before, after, last)] == [1, 2, 1]
    two.move(2)
    assert [two.used(each) for each in (before, after, last)] == [1, 2, 1], "also in a retry"


def test_the_input_says_which_version_was_used_and_what_it_said(two: Prompts) -> None:
    workflow = two.start()
    reach(workflow)
    given = two.given(workflow)
    made = two.make("One: {{ brief }}")
    assert given == {
        "prompt": {
            "name": "caption",
            "label": LABEL,
            "version": 1,
            "hash": made.hash,
            "messages": [{"role": "user", "content": "One: Heroes"}],
        }
    }


def test_what_was_recorded_is_sent_again(two: Prompts) -> None:
    workflow = two.start()
    reach(workflow)
    given = two.given(workflow)
    db.row(
        "UPDATE steps SET input = %s::jsonb, status = 'pending'"
        " WHERE workflow_id = %s AND key = 'b'",
        ('{"prompt": "as it was"}', workflow),
    )
    two.kernel.due(workflow, "b")
    assert two.given(workflow) == {"prompt": "as it was"} != given


def test_a_fork_and_its_fork_use_what_the_first_workflow_used(two: Prompts, ada: Caller) -> None:
    workflow = two.start()
    reach(workflow)
    two.move(2)
    forked = fork(ada, workflow, from_step="b").id
    again = fork(ada, forked, from_step="b").id
    assert [two.used(each) for each in (workflow, forked, again)] == [1, 1, 1]


def test_the_replay_of_a_dead_letter_goes_on_with_the_version_that_failed(
    two: Prompts, ada: Caller
) -> None:
    workflow = two.start(brief=["a", "list"])
    drive()
    assert two.kernel.workflow(workflow)["status"] == "failed"
    two.move(2)
    corrected = {"brief": "a, list"}
    going_on = replay(ada, workflow, Replay(input=corrected)).replay_id
    assert going_on is not None
    assert two.used(going_on) == 1
    anew = two.start()
    reach(anew)
    assert two.used(anew) == 2


def test_a_version_that_a_fork_still_uses_is_not_deleted(two: Prompts, ada: Caller) -> None:
    workflow = two.start()
    reach(workflow)
    two.move(2)
    forked = fork(ada, workflow, from_step="b").id
    db.row("UPDATE workflows SET completed_at = clock_timestamp() WHERE id = %s", (workflow,))
    with pytest.raises(Conflict, match=f"workflow {forked} has not ended"):
        deleting.delete_version(two.author, "caption", 1)


def test_a_child_uses_what_the_label_says_when_it_starts(two: Prompts) -> None:
    child = {"workflow": "call", "type": "captioned", "with": {"brief": "x"}, "await": False}
    wait = {"wait": "w", "for": "1h"}
    parent = two.kernel.start(two.kernel.register({"sequence": [wait, child]}))
    drive()
    two.move(2)
    pass_time("2 hours")
    assert run(parent, "w", "control.wait")
    assert run(parent, "call", "control.child")
    found = db.row("SELECT id FROM workflows WHERE parent_id = %s", (parent,))
    assert found is not None
    reach(found["id"])
    assert two.used(found["id"]) == 2


def test_a_version_that_is_named_by_its_number_depends_on_no_label(two: Prompts) -> None:
    two.register("fixed", version=2)
    workflow = two.start("fixed")
    reach(workflow)
    prompt = two.given(workflow)["prompt"]
    assert (prompt["version"], "label" in prompt) == (2, False)


def test_a_step_waits_for_a_move_that_was_made_before_its_workflow_and_is_not_committed(
    two: Prompts, settings: Settings
) -> None:
    with contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as other:
        _begin_to_move(other, two)
        workflow = two.start()
        reach(workflow)
        found: list[int] = []

        def look() -> None:
            found.append(two.used(workflow))
            db.release()

        looking = threading.Thread(target=look)
        looking.start()
        _until_someone_waits()
        assert found == []
        other.commit()
        looking.join(timeout=10)
    assert found == [2]


def _begin_to_move(other: extensions.connection, two: Prompts) -> None:
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(prompt_lock_v1(id)) FROM prompts")
        cursor.execute(
            "SELECT move_prompt_label_v1(id, %s, 2, %s, NULL, false, 100) FROM prompts",
            (LABEL, str(two.author.user_id)),
        )


def _until_someone_waits() -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        row = db.row("SELECT count(*) AS n FROM pg_locks WHERE NOT granted", ())
        if row is not None and row["n"]:
            return
        time.sleep(0.01)
    pytest.fail("no one waits for the lock of the prompt")


def test_a_version_that_is_gone_fails_the_step_in_words(two: Prompts) -> None:
    workflow = two.start()
    reach(workflow)
    for statement in (
        "DELETE FROM prompt_labels",
        "DELETE FROM prompt_versions WHERE version = 1",
    ):
        db.row(statement, ())
    with pytest.raises(Permanent, match="version 1 of the prompt 'caption'") as caught:
        two.given(workflow)
    assert caught.value.code == "prompt_missing"


def test_a_value_that_does_not_fit_fails_the_step_before_anything_is_sent(two: Prompts) -> None:
    workflow = two.start(brief=["a", "list"])
    drive()
    step = two.kernel.step(workflow, "b")
    assert (step["status"], step["error_code"]) == ("failed", "prompt_variables")
    assert "prompt 'caption' version 1: /variables/brief" in step["error"]["message"]
    assert db.rows("SELECT 1 FROM intents WHERE workflow_id = %s", (workflow,)) == []
    assert list(rebuild.differences()) == []


def test_only_a_step_with_a_prompt_reads_prompts(two: Prompts, kernel: Kernel) -> None:
    for table in ("prompts", "prompt_versions", "prompt_labels", "prompt_moves"):
        db.row(f"ALTER TABLE {table} RENAME TO {table}_gone", ())
    plain = kernel.start("noop_chain")
    workflow = two.start()
    for key in ("first", "second", "third"):
        assert run(plain, key, "control.noop")
    assert kernel.workflow(plain)["status"] == "succeeded"
    reach(workflow)
    with pytest.raises(psycopg2.errors.UndefinedTable):
        two.given(workflow)


def test_a_definition_names_only_prompts_of_its_authors_project(two: Prompts) -> None:
    stranger = Prompts(two.kernel, Author(_other_user(), is_admin=True))
    with pytest.raises(DefinitionRefused, match="there is no prompt 'caption' in your project"):
        stranger.register("stolen")
    stranger.make("Eve: {{ brief }}", LABEL)
    assert stranger.register() == "captioned"
    found = db.rows(
        "SELECT version, prompts_of, prompts FROM definitions WHERE name = 'captioned'"
        " ORDER BY version",
        (),
    )
    assert [row["version"] for row in found] == [1, 2], "the same body, but other prompts"
    assert len({row["prompts_of"] for row in found}) == 2
    assert [row["prompts"] for row in found] == [[{"name": "caption", "label": LABEL}]] * 2
    workflow = two.start()
    reach(workflow)
    assert two.given(workflow)["prompt"]["messages"][0]["content"] == "Eve: Heroes"


def _other_user() -> UUID:
    row = db.row("SELECT create_user_v1('eve@example.com') AS id", ())
    assert row is not None
    found: UUID = row["id"]
    return found


def test_a_definition_that_names_what_is_missing_is_refused(two: Prompts) -> None:
    for which, words in (
        ({"label": "prod"}, "has no label 'prod'"),
        ({"version": 9}, "has no version 9"),
    ):
        with pytest.raises(DefinitionRefused, match=words):
            two.register("other", **which)
    two.make("{{ brief }} {{ tone }}", "beta")
    with pytest.raises(DefinitionRefused, match="variables/tone: this field is required"):
        two.register("other", label="beta")
    prompt = {"name": "caption", "label": LABEL, "variables": {"brief": "x"}}
    step = {"step": "b", "action": "openai.caption", "with": {"prompt": prompt}}
    with pytest.raises(DefinitionRefused, match="there is no prompt"):
        versions.register({"name": "other", "do": step})


def test_no_label_goes_while_a_definition_that_names_it_is_registered(
    two: Prompts, settings: Settings
) -> None:
    two.move(2, "beta")
    with contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(prompt_lock_v1(id)) FROM prompts")
        removing = threading.Thread(target=lambda: _remove(two))
        removing.start()
        _until_someone_waits()
        assert two.pointing("beta") == 2
        other.rollback()
        removing.join(timeout=10)
    assert two.pointing("beta") is None


def _remove(two: Prompts) -> None:
    labels.remove(two.author, "caption", "beta")


def test_a_workflow_that_has_ended_keeps_no_version(two: Prompts) -> None:
    workflow = two.start(brief=1.5)
    two.move(2)
    two.kernel.cancel(workflow)
    deleting.delete_version(two.author, "caption", 1)
    assert db.rows("SELECT version FROM prompt_versions", ()) == [{"version": 2}]
