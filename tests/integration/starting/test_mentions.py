"""Which files a workflow mentions is noted with the input that mentions them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from app import db
from app.files import artifacts
from app.files.old_uploads import erase_old_uploads
from app.identity import keys
from app.protocol import outcomes
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.commands.retry import retry
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop
from tests.web.conftest import picture

HELD: dict[str, Any] = {"sequence": [noop("a"), noop("b")]}


def upload(user_id: UUID) -> UUID:
    made: UUID = artifacts.upload(user_id, picture())["id"]
    return made


def mentions(workflow: UUID) -> set[UUID]:
    sql = "SELECT artifact_id FROM workflow_artifacts WHERE workflow_id = %s"
    return {row["artifact_id"] for row in db.rows(sql, (workflow,))}


def test_a_start_notes_the_users_files_wherever_its_input_names_them(kernel: Kernel) -> None:
    one, two, unnamed = (upload(kernel.user_id) for _ in range(3))
    others = upload(keys.create_key("bob@example.com")[0])
    given = {
        "photos": [{"id": str(one)}],
        "page": f"https://x.example/files/{str(two).upper()}?a=1",
        "other": str(others),
        "none": str(UUID(int=7)),
    }
    # Twice: the second goes the short way of a type that is known.
    for _ in range(2):
        workflow = kernel.start(kernel.register(HELD), given)
        assert mentions(workflow) == {one, two}
    assert unnamed not in mentions(workflow)
    assert mentions(kernel.start("noop_chain")) == set()


def test_an_upload_is_kept_until_the_workflows_that_mention_it_have_ended(kernel: Kernel) -> None:
    upload_id = upload(kernel.user_id)
    workflow = kernel.start(kernel.register(HELD), {"photo": str(upload_id)})
    db.row("UPDATE artifacts SET created_at = created_at - interval '40 days'", ())
    assert erase_old_uploads(timedelta(days=30)) == 0
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert erase_old_uploads(timedelta(days=30)) == 1


def test_a_corrected_input_a_child_and_a_fork_note_theirs(kernel: Kernel, ada: Caller) -> None:
    first, corrected, forked = (upload(kernel.user_id) for _ in range(3))
    called = kernel.register(noop("own"))
    call = {"workflow": "call", "type": called, "with": {"photo": {"$": "input.photo"}}}
    node = {"sequence": [call, noop("a"), noop("b")]}
    workflow = kernel.start(kernel.register(node, on_failure="hold"), {"photo": str(first)})
    drive(2)
    child = db.row("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    assert child is not None
    assert mentions(child["id"]) == {first}
    drive(1)
    claim = kernel.claim(workflow, "a")
    outcomes.fail_step(claim, NOTHING, {"code": "gone", "message": "gone"}, is_holding=True)
    retry(ada, workflow, step="a", input={"photo": str(corrected)}, reason="another")
    assert mentions(workflow) == {first, corrected}
    drive()
    made = fork(ada, workflow, from_step="b", input={"photo": str(forked)}).id
    assert mentions(made) == {first, corrected, forked}
