"""What only `openai.upload_file` and `openai.delete_file` do: whose file is which."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from app import db
from app.errors import Permanent, Retryable, Unavailable, Unknown
from app.platform import Json
from app.settings import Settings
from tasks.openai.files import calls
from tasks.openai.files.uploading import UploadInput
from tests.contract.cases import Claim
from tests.contract.fuzz.mutations import Answer
from tests.contract.fuzz.relay import Relay, relay
from tests.contract.openai.cases import UPLOADED, delete_file, upload_file
from tests.contract.pictures import out_of_reach, small, upload
from tests.contract.vendors import Vendors

LINE = json.dumps({"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {}})


def test_a_file_is_named_by_its_workflow_and_expires(step: Claim, vendors: Vendors) -> None:
    asked = step("openai.upload_file", UPLOADED | {"expires_after_seconds": 3600})
    made = asked.run()
    workflow, _, rest = made["filename"].partition(".")
    assert (UUID(workflow), rest[-4:]) == (asked.claim.workflow_id, ".txt")
    seen = calls.retrieve(made["file"])
    assert seen is not None
    assert seen["expires_at"] == made["expires_at"] == seen["created_at"] + 3600
    assert made["bytes"] == len(UPLOADED["text"])
    assert asked.run() == made


def test_an_artifact_and_the_lines_of_a_batch_are_uploaded(step: Claim, vendors: Vendors) -> None:
    asked = upload_file(step)
    photo = upload(asked, small("astronaut.png"))
    asked.given = {"artifact": photo, "purpose": "vision"}
    assert asked.run()["filename"].endswith(".png")
    lines = step("openai.upload_file", {"text": f"{LINE}\n", "purpose": "batch"}).run()
    assert lines["filename"].endswith(".jsonl")
    assert lines["expires_at"] is not None
    with pytest.raises(Permanent, match="no artifact"):
        step("openai.upload_file", {"artifact": str(uuid4()), "purpose": "vision"}).run()
    assert vendors.count("files") == 2


def test_an_artifact_that_cannot_be_read_now_leaves_no_call_that_is_looked_for(
    step: Claim, vendors: Vendors
) -> None:
    asked = upload_file(step)
    photo = upload(asked, small("astronaut.png"))
    asked.given = {"artifact": photo, "purpose": "vision"}
    with out_of_reach(photo):
        with pytest.raises(Unavailable, match="directory"):
            asked.run()
        assert asked.intents == ()
    made = asked.run()
    with out_of_reach(photo):
        assert asked.run() == made
    assert vendors.count("files") == 1


def test_an_artifact_that_is_too_large_is_not_read(step: Claim, vendors: Vendors) -> None:
    asked = upload_file(step)
    photo = upload(asked, small("astronaut.png"))
    db.rows("UPDATE artifacts SET size = 200 * 1024 * 1024 + 1 RETURNING 1", ())
    asked.given = {"artifact": photo, "purpose": "vision"}
    with out_of_reach(photo), pytest.raises(Permanent, match="200 MiB") as caught:
        asked.run()
    assert (caught.value.code, asked.intents) == ("file_too_large", ())


def test_each_copy_of_a_lost_upload_is_deleted_with_the_step(step: Claim, vendors: Vendors) -> None:
    asked = upload_file(step)
    vendors.fault("openai", "files.create", "lost_reply")
    with pytest.raises(Unknown):
        asked.run()
    asked.settle()
    made = asked.run()
    assert vendors.count("files") == 2
    undone = asked.undo()
    assert (undone["result"], len(undone["files"])) == ("deleted", 2)
    assert made["file"] in undone["files"]
    assert vendors.count("files_deleted") == 2


def test_a_file_of_another_workflow_is_not_deleted(step: Claim, vendors: Vendors) -> None:
    made = upload_file(step).run()
    asked = delete_file(step)
    asked.given = {"file": made["file"]}
    with pytest.raises(Permanent, match="belongs to workflow") as caught:
        asked.run()
    assert caught.value.code == "belongs_to_other"
    assert vendors.count("files_deleted") == 0


def test_a_file_that_is_gone_is_deleted_already(step: Claim, vendors: Vendors) -> None:
    asked = delete_file(step)
    assert asked.run()["result"] == "deleted"
    again = step("openai.delete_file", {"file": "file-none"})
    assert again.run() == {"file": "file-none", "result": "already"}
    assert asked.run()["result"] == "deleted"
    assert vendors.count("files_deleted") == 1


def listed(between: Relay, *, created_at: int) -> list[Json]:
    """What is read of a list whose every page names another."""
    file = {"id": "file-1", "bytes": 1, "purpose": "batch", "filename": "a", "expires_at": None}
    page = {"object": "list", "data": [file | {"created_at": created_at}], "has_more": True}
    body = json.dumps(page).encode()
    between.instead = Answer(200, {"Content-Type": "application/json"}, body).sent()
    return list(calls.listed("batch", datetime(2026, 11, 1, tzinfo=UTC)))


def test_a_list_is_read_to_the_time_that_is_asked_for_and_has_an_end(
    configure: Callable[..., Settings], vendors: Vendors
) -> None:
    with relay() as between:
        configure(OPENAI_BASE_URL=f"{between.url}/v1")
        assert listed(between, created_at=1_700_000_000) == []
        with pytest.raises(Retryable) as caught:
            listed(between, created_at=2_000_000_000)
    assert caught.value.code == "list_too_long"


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "a", "artifact": "b", "purpose": "batch"},
        {"purpose": "batch"},
        {"text": "a", "purpose": "other"},
        {"text": "a", "purpose": "batch", "expires_after_seconds": 60},
    ],
)
def test_an_input_that_cannot_be_sent_is_refused(wrong: Json) -> None:
    with pytest.raises(ValidationError):
        UploadInput(**wrong)
