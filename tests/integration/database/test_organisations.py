"""Each user has an organisation and a project; what the user starts and uploads stands in them."""

from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from app import db
from app.files import artifacts
from app.files.artifacts import Artifacts
from app.identity import keys
from chains.commands.command import Caller, caller_of
from chains.commands.fork import fork
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive
from tests.unit.definitions import noop
from tests.web.conftest import picture

_HOME = "SELECT organisation_id, project_id FROM {} WHERE id = %s"


def home(table: str, id: UUID) -> Any:
    """(organisation, project) of a row."""
    row = db.row(_HOME.format(table), (id,))
    assert row is not None
    return row["organisation_id"], row["project_id"]


def test_a_new_user_has_an_organisation_and_a_project_of_their_own(kernel: Kernel) -> None:
    first, _ = keys.create_key("bob@example.com")
    again, _ = keys.create_key("bob@example.com")
    assert first == again
    organisation, project = home("users", first)
    assert home("users", kernel.user_id) != (organisation, project)
    found = "SELECT organisation_id FROM projects WHERE id = %s"
    assert db.row(found, (project,)) == {"organisation_id": organisation}


@pytest.mark.parametrize("other", ["Bob@Example.com", "BOB@EXAMPLE.COM"])
def test_addresses_that_differ_only_in_case_are_one_user(kernel: Kernel, other: str) -> None:
    first, _ = keys.create_key("bob@example.com")
    again, _ = keys.create_key(other)
    assert first == again
    for address in ("bob@example.com", other, "bOB@example.com"):
        assert [each.email for each in keys.list_keys(address)] == ["bob@example.com"] * 2


def test_letters_outside_ascii_are_folded_as_the_names_in_approvals_are(kernel: Kernel) -> None:
    address = "Jürgen.STRAẞE@Example.com"
    first, _ = keys.create_key(address)
    again, _ = keys.create_key(address.upper())
    assert first == again
    assert caller_of(first).email == address.casefold()


def test_a_row_cannot_hold_an_address_in_another_case(kernel: Kernel) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation):
        db.row("UPDATE users SET email = 'Ada@example.com' WHERE id = %s", (kernel.user_id,))


def test_the_same_new_address_at_the_same_time_makes_one_user_and_one_organisation(
    kernel: Kernel, in_threads: Threads
) -> None:
    made = in_threads([partial(keys.create_key, "carol@example.com")] * 6)
    assert len({user for user, _ in made}) == 1
    counts = "SELECT (SELECT count(*) FROM {0}) AS {0}"
    assert db.row(counts.format("organisations"), ()) == {"organisations": 2}
    assert db.row(counts.format("projects"), ()) == {"projects": 2}


def test_workflows_children_and_forks_stand_where_their_user_does(
    kernel: Kernel, ada: Caller
) -> None:
    own = home("users", kernel.user_id)
    called = kernel.register(noop("own"))
    node = {"sequence": [{"workflow": "call", "type": called}, noop("end")]}
    workflow = kernel.start(kernel.register(node))
    drive()
    child = db.row("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    assert child is not None
    forked = fork(ada, workflow, from_step="end").id
    assert {home("workflows", id) for id in (workflow, child["id"], forked)} == {own}


def test_a_child_stands_with_its_parent_and_not_with_its_user(kernel: Kernel) -> None:
    called = kernel.register(noop("own"))
    workflow = kernel.start(kernel.register({"workflow": "call", "type": called}))
    other = home("users", keys.create_key("dan@example.com")[0])
    db.row(
        "UPDATE workflows SET organisation_id = %s, project_id = %s WHERE id = %s",
        (*other, workflow),
    )
    drive()
    child = db.row("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    assert child is not None
    assert home("workflows", child["id"]) == other


def test_a_fork_stands_with_its_source_and_not_with_its_user(kernel: Kernel, ada: Caller) -> None:
    workflow = kernel.start(kernel.register({"sequence": [noop("a"), noop("b")]}))
    drive()
    other = home("users", keys.create_key("fay@example.com")[0])
    db.row(
        "UPDATE workflows SET organisation_id = %s, project_id = %s WHERE id = %s",
        (*other, workflow),
    )
    assert home("workflows", fork(ada, workflow, from_step="b").id) == other


def test_uploads_and_results_stand_where_their_user_and_their_workflow_do(kernel: Kernel) -> None:
    own = home("users", kernel.user_id)
    upload = artifacts.upload(kernel.user_id, picture())
    workflow = kernel.start("noop_chain")
    made = Artifacts(workflow, "first", kernel.user_id).write("r.txt", b"x", "text/plain")
    assert home("artifacts", upload["id"]) == own
    assert home("artifacts", UUID(made["id"])) == own


def test_nothing_stands_in_a_project_of_another_organisation(kernel: Kernel) -> None:
    _, project = home("users", keys.create_key("eve@example.com")[0])
    for table in ("users", "definitions"):
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            db.row(
                f"UPDATE {table} SET organisation_id = %s, project_id = %s",
                (home("users", kernel.user_id)[0], project),
            )
    with pytest.raises(psycopg2.errors.CheckViolation):
        db.row("UPDATE definitions SET organisation_id = %s", (home("users", kernel.user_id)[0],))


def test_an_unknown_user_starts_nothing(kernel: Kernel) -> None:
    unknown = Kernel(UUID(int=1))
    with pytest.raises(psycopg2.errors.NotNullViolation):
        unknown.start("noop_chain")
