"""The folder of files is full while pictures come in: they wait, and nothing is paid twice."""

from collections.abc import Iterator

import pytest
import requests

from ops.sandbox import photos
from tests.e2e.campaign import Customer
from tests.e2e.stack import Json, Stack, until
from tests.small_disk import SmallDisk, small_disk

MEGABYTES = 24
PAID = {"authorizations": 1, "captures": 1, "refunds": 0, "predictions": 1, "deployments": 1}


@pytest.fixture
def disk(stack: Stack) -> Iterator[SmallDisk]:
    """The instance's folder of files on a small disk of its own, for this test."""
    with small_disk(stack.profile.data.folder("files"), MEGABYTES * 1024) as disk:
        yield disk


@pytest.mark.timeout(120)
def test_a_picture_waits_for_room_and_is_neither_lost_nor_paid_twice(
    stack: Stack, disk: SmallDisk
) -> None:
    # Its photographs are uploaded to the small disk.
    customer = Customer(stack)
    photographs = customer.photographs(1)
    assert customer.source
    disk.fill()
    refused = _upload(stack)
    assert (refused["status"], refused["code"]) == (503, "storage_unavailable")
    assert "No space left" in refused["detail"]

    campaign = customer.start(1, targets=photographs)

    def waiting() -> list[Json]:
        pictures = [step for key, step in campaign.steps().items() if key.endswith(".render")]
        return [step for step in pictures if (step["error"] or {}).get("code")]

    for step in until("the picture to wait", waiting, 30, campaign.dump):
        assert step["error"]["code"] == "storage_unavailable"
        assert "No space left" in step["error"]["message"]
        assert step["status"] in ("pending", "running")
    tries = "SELECT sum(tries)::integer AS tries FROM steps WHERE workflow_id = %s"
    assert stack.rows(tries, campaign.id) == [{"tries": 0}]
    disk.make_room()
    campaign.ended("succeeded")
    assert campaign.paid() == PAID, campaign.dump()


def _upload(stack: Stack) -> Json:
    """Upload a photograph, once: `stack.api` would try again."""
    headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": "image/jpeg"}
    answer = requests.post(
        f"{stack.profile.url}/v1/artifacts", data=photos.source(), headers=headers, timeout=15
    )
    assert answer.headers["Retry-After"]
    problem: Json = answer.json()
    return problem
