"""Models and versions that the account makes, the gallery, collections and searches."""

from __future__ import annotations

from typing import Any

import pytest
from replicate.client import Client

from ops.sandbox.replicate import gallery
from tests.sandbox.replicate.asking import HELLO, OWNER, new_model, settled, train
from tests.sandbox.replicate.conftest import Plain
from tests.sandbox.running import Sandbox, until

MINE = f"{OWNER}/mine"


def trained(sandbox: Sandbox, plain: Plain, name: str, visibility: str = "private") -> str:
    """The id of a version that was made by a training."""
    sandbox.settings(replicate__training_seconds=0)
    new_model(plain, name, visibility)
    ended = settled(plain, train(plain, f"{OWNER}/{name}"))
    return str(ended["output"]["version"].partition(":")[2])


def test_a_model_is_created_changed_and_deleted(
    sandbox: Sandbox, plain: Plain, replicate_client: Client
) -> None:
    made = replicate_client.models.create(
        OWNER, "mine", visibility="private", hardware="gpu-t4", description="Mine"
    )
    assert (made.id, made.visibility, made.latest_version) == (MINE, "private", None)
    assert plain.refused("GET", f"/models/{MINE}/readme")["status"] == 404
    change = {"description": "Ours", "readme": "# Ours", "paper_url": "https://a.example"}
    assert plain("PATCH", f"/models/{MINE}", change).json()["description"] == "Ours"
    assert plain("GET", f"/models/{MINE}/readme").text == "# Ours"
    assert replicate_client.models.get(MINE).paper_url == "https://a.example"
    assert MINE not in [f"{each.owner}/{each.name}" for each in replicate_client.models.list()]
    assert replicate_client.models.delete(MINE)
    assert plain.refused("GET", f"/models/{MINE}")["status"] == 404
    counts = sandbox.books()
    assert [counts[name] for name in ("models", "models.updated", "models.deleted")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"owner": "acme"}, 403),
        ({"name": "Mine"}, 422),
        ({"name": "face-swap"}, 409),
        ({"name": "mine"}, 409),
        ({"hardware": "none"}, 422),
        ({"visibility": "secret"}, 422),
        ({"weights_url": "https://a.example"}, 422),
    ],
)
def test_a_wrong_model_is_refused(plain: Plain, change: Any, status: int) -> None:
    new_model(plain, "mine")
    body = {"owner": OWNER, "name": "other", "visibility": "public", "hardware": "cpu"}
    assert plain.refused("POST", "/models", body | change)["status"] == status


def test_a_version_and_then_its_model_are_deleted(
    sandbox: Sandbox, plain: Plain, replicate_client: Client
) -> None:
    version = trained(sandbox, plain, "mine")
    given = {"prompt": "red"}
    made = plain.post("/predictions", {"version": version, "input": given}, Prefer="wait")
    problem = plain.refused("DELETE", f"/models/{MINE}")
    assert "no versions associated" in problem["detail"]
    # The SDK takes 204 only for a success; the answer is 202.
    replicate_client.models.get(MINE).versions.delete(version)
    until(lambda: plain("GET", f"/models/{MINE}/versions/{version}").status_code == 404)
    # All that was made by it is deleted with it.
    assert plain.refused("GET", f"/predictions/{made['id']}")["status"] == 404
    assert plain("GET", made["output"][0]).status_code == 404
    assert plain("DELETE", f"/models/{MINE}").status_code == 204


def test_a_version_that_is_used_or_public_is_not_deleted(sandbox: Sandbox, plain: Plain) -> None:
    version = trained(sandbox, plain, "mine")
    path = f"/models/{MINE}/versions/{version}"
    body = {"name": "mine", "model": MINE, "version": version, "hardware": "cpu"}
    plain.post("/deployments", body | {"min_instances": 0, "max_instances": 1})
    assert "associated deployment" in plain.refused("DELETE", path)["detail"]
    open_ = trained(sandbox, plain, "open", "public")
    problem = plain.refused("DELETE", f"/models/{OWNER}/open/versions/{open_}")
    assert problem["detail"] == "You can only delete versions from private models."
    hello = f"/models/{gallery.HELLO_WORLD.full_name}"
    assert plain.refused("DELETE", f"{hello}/versions/{HELLO}")["status"] == 403
    assert plain.refused("DELETE", hello)["status"] == 403
    assert plain.refused("PATCH", hello, {"description": "Mine"})["status"] == 403


def test_public_models_are_listed_newest_first_or_last(
    sandbox: Sandbox, plain: Plain, replicate_client: Client
) -> None:
    trained(sandbox, plain, "open", "public")
    listed = plain.get("/models")["results"]
    assert listed[0]["name"] == "open"
    assert len(listed) == len(gallery.MODELS) + 1
    assert plain.get("/models", sort_direction="asc")["results"] == listed[::-1]
    by_model = plain.get("/models", sort_by="model_created_at")["results"]
    assert by_model[0]["name"] == "open"
    assert plain.refused("GET", "/models?sort_by=name")["status"] == 400
    assert plain.refused("GET", "/models?colour=red")["status"] == 400
    assert len(replicate_client.models.list().results) == len(listed)


def test_models_are_found_by_words(plain: Plain, replicate_client: Client) -> None:
    found = replicate_client.models.search("face swap").results
    assert [each.name for each in found][:2] == ["face-swap", "face-swap-portrait"]
    assert plain("QUERY", "/models", data=b" ").status_code == 400
    answer = plain.get("/search", query="trainable pictures", limit=1)
    assert (answer["query"], len(answer["models"])) == ("trainable pictures", 1)
    assert answer["models"][0]["metadata"]["score"] > 0
    assert [each["slug"] for each in answer["collections"]] == [
        "text-to-image",
        "image-tools",
        "trainable",
    ]
    assert plain.get("/search", query="webhooks")["pages"][0]["href"] == "/docs/topics/webhooks"
    problem = plain.refused("GET", "/search")
    assert (problem["status"], problem["detail"]) == (400, 'Query parameter "query" is required')
    for limit in ("0", "51", "many"):
        assert plain.refused("GET", f"/search?query=a&limit={limit}")["status"] == 400


def test_the_gallery_shows_collections_examples_and_hardware(
    plain: Plain, replicate_client: Client
) -> None:
    slugs = [each.slug for each in replicate_client.collections.list()]
    assert slugs == list(gallery.COLLECTIONS)
    swapping = replicate_client.collections.get("face-swap")
    assert [each.name for each in swapping] == ["face-swap", "face-swap-portrait"]
    assert plain.refused("GET", "/collections/none")["status"] == 404
    hello = gallery.HELLO_WORLD.full_name
    (example,) = plain.get(f"/models/{hello}/examples")["results"]
    assert example["output"] == "hello Alice"
    assert plain.get(f"/models/{hello}")["default_example"] == example
    assert "says hello" in plain("GET", f"/models/{hello}/readme").text
    skus = [each.sku for each in replicate_client.hardware.list()]
    assert "gpu-t4" in skus
    assert replicate_client.accounts.current().username == OWNER
    assert replicate_client.models.get(hello).versions.get(HELLO).id == HELLO
    assert [each.id for each in replicate_client.models.get(hello).versions.list()] == [HELLO]
