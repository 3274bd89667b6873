"""Deployments: their releases, their instances, and when they may be deleted."""

from __future__ import annotations

from typing import Any

import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError

from ops.sandbox.replicate.gallery import FACE_SWAP, HELLO_WORLD
from tests.sandbox.replicate.asking import HELLO, OWNER, advance, settled
from tests.sandbox.replicate.conftest import Plain
from tests.sandbox.running import Sandbox, until

NEW = {
    "name": "hello",
    "model": HELLO_WORLD.full_name,
    "version": HELLO,
    "hardware": "gpu-t4",
    "min_instances": 0,
    "max_instances": 1,
}
ONE = f"/deployments/{OWNER}/hello"


def deploy(plain: Plain, **changes: Any) -> Any:
    return plain.post("/deployments", NEW | changes)


def one_of(plain: Plain, made: list[Any], status: str) -> Any:
    """The first of the predictions that has the status."""

    def look() -> Any:
        seen = [plain.get(each["urls"]["get"]) for each in made]
        return next((each for each in seen if each["status"] == status), None)

    return until(look)


def test_each_change_of_a_deployment_is_a_release(
    sandbox: Sandbox, replicate_client: Client
) -> None:
    calls: Any = replicate_client.deployments
    made = calls.create(**NEW)
    assert (made.owner, made.name, made.current_release.number) == (OWNER, "hello", 1)
    changed = calls.update(OWNER, "hello", min_instances=1, max_instances=3)
    assert changed.current_release.number == 2
    assert changed.current_release.configuration.max_instances == 3
    assert changed.current_release.configuration.hardware == "gpu-t4"
    assert calls.get(f"{OWNER}/hello").current_release.number == 2
    assert [each.name for each in calls.list()] == ["hello"]
    counts = sandbox.books()
    assert (counts["model_deployments"], counts["model_deployments.updated"]) == (1, 1)
    with pytest.raises(ReplicateError) as refused:
        calls.create(**NEW)
    assert refused.value.status == 409
    with pytest.raises(ReplicateError) as refused:
        calls.get(f"{OWNER}/other")
    assert refused.value.status == 404


def test_a_deployment_runs_so_many_predictions_at_a_time(sandbox: Sandbox, plain: Plain) -> None:
    deploy(plain)
    sandbox.settings(replicate__hold=True)
    body = {"input": {"text": "Ada"}}
    made = [plain.post(f"{ONE}/predictions", body) for _ in range(4)]
    assert {each["deployment"] for each in made} == {"hello"}
    assert {each["version"] for each in made} == {HELLO}
    # All of them are due at the same moment, and any of them is the first.
    first = one_of(plain, made, "processing")
    rest = [each for each in made if each["id"] != first["id"]]
    assert [plain.get(each["urls"]["get"])["status"] for each in rest] == ["starting"] * 3
    # What waits may be cancelled, and a release with more instances starts more.
    plain.post(f"/predictions/{rest[0]['id']}/cancel")
    plain("PATCH", ONE, {"max_instances": 2})
    second = one_of(plain, rest[1:], "processing")
    (last,) = (each for each in rest[1:] if each["id"] != second["id"])
    assert plain.get(last["urls"]["get"])["status"] == "starting"
    sandbox.control("POST", "/replicate/release", {"count": 1})
    one_of(plain, [first, second], "succeeded")
    settled(plain, last, "processing")
    sandbox.settings(replicate__hold=False)
    assert settled(plain, last)["output"] == "hello Ada"


def test_the_next_one_starts_when_a_deadline_ends_the_one_that_runs(
    sandbox: Sandbox, plain: Plain
) -> None:
    deploy(plain)
    sandbox.settings(replicate__hold=True)
    body = {"input": {"text": "Ada"}}
    first = plain.post(f"{ONE}/predictions", body, Cancel_After="30s")
    settled(plain, first, "processing")
    second = plain.post(f"{ONE}/predictions", body, Cancel_After="20s")
    third = plain.post(f"{ONE}/predictions", body)
    advance(sandbox, 20)
    assert settled(plain, second)["status"] == "aborted"
    advance(sandbox, 10)
    assert settled(plain, first)["status"] == "canceled"
    settled(plain, third, "processing")


def test_a_deployment_is_deleted_once_it_was_offline_and_unused_for_long(
    sandbox: Sandbox, plain: Plain, replicate_client: Client
) -> None:
    deploy(plain, min_instances=1)
    plain.post(f"{ONE}/predictions", {"input": {"text": "Ada"}}, Prefer="wait")
    advance(sandbox, 3600)
    assert "offline and unused" in plain.refused("DELETE", ONE)["detail"]
    plain("PATCH", ONE, {"min_instances": 0})
    advance(sandbox, 899)
    assert plain.refused("DELETE", ONE)["status"] == 400
    advance(sandbox, 1)
    assert replicate_client.deployments.delete(OWNER, "hello")
    assert plain.refused("GET", ONE)["status"] == 404
    assert plain.refused("DELETE", ONE)["status"] == 404
    assert plain.refused("POST", f"{ONE}/predictions", {"input": {"text": "a"}})["status"] == 404
    assert sandbox.books()["model_deployments.deleted"] == 1


def test_a_deployment_that_is_used_is_not_deleted(sandbox: Sandbox, plain: Plain) -> None:
    deploy(plain)
    sandbox.settings(replicate__hold=True)
    made = plain.post(f"{ONE}/predictions", {"input": {"text": "Ada"}})
    advance(sandbox, 3600)
    assert plain.refused("DELETE", ONE)["status"] == 400
    plain.post(f"/predictions/{made['id']}/cancel")
    assert plain.refused("DELETE", ONE)["status"] == 400
    advance(sandbox, 900)
    assert plain("DELETE", ONE).status_code == 204


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hardware": "gpu-none"}, "hardware"),
        ({"version": "0" * 64}, "version"),
        ({"version": FACE_SWAP.version}, "version"),
        ({"model": ""}, "version"),
        ({"name": "No Name"}, "name"),
        ({"max_instances": 21}, "max_instances"),
        ({"min_instances": 6}, "min_instances"),
        ({"min_instances": 2}, "min_instances"),
        ({"min_instances": True}, "min_instances"),
        ({"min_instances": "1"}, "min_instances"),
    ],
)
def test_a_wrong_deployment_is_refused(plain: Plain, change: Any, field: str) -> None:
    problem = plain.refused("POST", "/deployments", NEW | change)
    assert (problem["status"], problem["invalid_fields"][0]["field"]) == (422, field)


def test_a_change_that_is_wrong_or_empty_makes_no_release(plain: Plain) -> None:
    deploy(plain)
    for change in ({"hardware": "none"}, {"model": "a/b"}, {"min_instances": 3}):
        assert plain.refused("PATCH", ONE, change)["status"] == 422
    assert plain("PATCH", ONE, {}).json()["current_release"]["number"] == 1
    assert until(lambda: plain.get(ONE))["current_release"]["configuration"]["max_instances"] == 1
