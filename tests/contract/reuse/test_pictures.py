"""A picture that is reused belongs to each workflow that has it, and is undone by each alone."""

from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Permanent
from app.files import artifacts
from app.files.artifacts import Artifacts
from app.platform import Json
from tests.contract.pictures import small
from tests.contract.reuse.asking import ended, reuses
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.unit.definitions import fail


@pytest.fixture
def swap(kernel: Kernel) -> Json:
    """A step that swaps a face between the same two photographs, uploaded anew."""
    data = small("astronaut.png")
    photos = {role: artifacts.upload(kernel.user_id, data) for role in ("source", "target")}
    given = {role: str(row["id"]) for role, row in photos.items()}
    return {"step": "swap", "action": "replicate.predict", "with": {**given, "cache": True}}


def picture(kernel: Kernel, workflow: UUID) -> dict[str, Any]:
    output: dict[str, Any] = kernel.step(workflow, "swap")["output"]
    return dict(output["picture"])


def content(kernel: Kernel, workflow: UUID, of: dict[str, Any]) -> bytes:
    return Artifacts(workflow, "swap", kernel.user_id).read(of["id"]).data


def test_each_workflow_has_a_picture_of_its_own_and_undoes_that_alone(
    kernel: Kernel, vendors: Vendors, swap: Json
) -> None:
    first = ended(kernel, swap)
    undone = ended(kernel, {"sequence": [swap, fail("bad")]})
    assert kernel.workflow(undone)["status"] == "compensated"
    assert len(reuses(kernel, undone)) == 1
    assert kernel.step(first, "swap")["output"]["prediction"] is not None
    assert kernel.step(undone, "swap")["output"]["prediction"] is None
    assert kernel.step(undone, "swap~undo")["output"] == {
        "result": "nothing",
        "prediction": None,
        "erased": 1,
        "files_deleted": 0,
    }
    mine, theirs = picture(kernel, first), picture(kernel, undone)
    assert mine["id"] != theirs["id"]
    assert {**mine, "id": "", "url": ""} == {**theirs, "id": "", "url": ""}
    assert content(kernel, first, mine)
    with pytest.raises(Permanent, match="no artifact"):
        content(kernel, undone, theirs)
    assert (vendors.count("predictions"), vendors.count("predictions_canceled")) == (1, 0)
    assert kernel.step(undone, "swap")["cost"] is None


def test_a_picture_that_is_gone_is_made_anew(kernel: Kernel, vendors: Vendors, swap: Json) -> None:
    first = ended(kernel, swap)
    Artifacts(first, "swap", kernel.user_id).erase(picture(kernel, first)["id"])
    second = ended(kernel, swap)
    assert (vendors.count("predictions"), reuses(kernel, second)) == (2, [])
    third = ended(kernel, swap)
    (taken,) = reuses(kernel, third)
    assert (taken["workflow"], vendors.count("predictions")) == (str(second), 2)


def test_a_picture_of_a_workflow_that_was_undone_is_made_anew(
    kernel: Kernel, vendors: Vendors, swap: Json
) -> None:
    ended(kernel, {"sequence": [swap, fail("bad")]})
    second = ended(kernel, swap)
    assert (reuses(kernel, second), vendors.count("predictions")) == ([], 2)


def test_old_claims_are_forgotten(kernel: Kernel, vendors: Vendors, swap: Json) -> None:
    ended(kernel, swap)
    assert db.row("SELECT clear_results_v1(60, 10) AS n", ()) == {"n": 0}
    assert db.row("SELECT clear_results_v1(0, 10) AS n", ()) == {"n": 1}
