"""What a person finds at this server: the index, the documentation, and examples that hold."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from chains import definitions
from tests.unit.documents import CHECKOUT, README, blocks
from tests.unit.kinds import EVERY_KIND
from tests.web.conftest import Caller

GUIDE = CHECKOUT / "ops" / "guide" / "definitions.md"
EXAMPLES = [json.loads(text) for file in (README, GUIDE) for text in blocks(file, "json")]
WRITTEN = [body for body in EXAMPLES if "do" in body]


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] | None = client.get("/openapi/openapi.json").json
    assert found is not None
    return found


def fitting(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """A validator for a schema of the document."""
    root = {"allOf": [schema], "components": document["components"]}
    return Draft202012Validator(root)


def test_the_document_accepts_the_definitions_that_the_documents_show(
    document: dict[str, Any],
) -> None:
    recipe = fitting(document, {"$ref": "#/components/schemas/Recipe"})
    for body in [*WRITTEN, EVERY_KIND, *definitions.ALL]:
        assert list(recipe.iter_errors(body)) == [], body["name"]
    step = {"step": "a", "action": "control.noop", "timeout": "10m"}
    for wrong in ("soon", "10 m", 0, True, {"$": ""}, {"after": "10m"}):
        body = {"name": "sample", "do": step | {"timeout": wrong}}
        assert not recipe.is_valid(body), wrong


def examples(value: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every schema with an example of it; a field that is named `example` is no example."""
    if isinstance(value, dict):
        found = value.get("examples")
        if isinstance(found, list):
            yield from ((value, each) for each in found)
        for inner in value.values():
            yield from examples(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from examples(inner)


def test_every_example_of_the_document_fits_its_schema(document: dict[str, Any]) -> None:
    found = list(examples(document))
    assert len(found) > 20
    for schema, example in found:
        fitting(document, schema).validate(example)


def test_the_request_of_the_readme_is_one_of_the_document(document: dict[str, Any]) -> None:
    text = "".join(blocks(README, "sh")).replace("\\\n", " ")
    (asked,) = [line for line in text.splitlines() if line.startswith("curl")]
    sent, path = re.findall(r"""-d '(.*?)'\s+"\$PLAYALTER_URL(/\S+)\"""", asked)[0]
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    fitting(document, body["schema"]).validate(json.loads(sent))
    assert {"noop_chain"} <= {each["name"] for each in definitions.ALL}


def test_redoc_is_loaded_as_what_it_is(client: FlaskClient) -> None:
    page = client.get("/openapi/redoc").get_data(as_text=True)
    (names, script) = re.findall(r'import \{ (.*?) \} from "\./(.*?)"', page)[0]
    assert '<script type="module">' in page
    answer = client.get(f"/openapi/{script}")
    assert answer.mimetype == "text/javascript"
    exported = re.findall(r"export\s*\{([^}]*)\}", answer.get_data(as_text=True)[-300:])
    assert names in exported[-1].split(",")
    assert "disableTelemetry: true" in page
    url = re.findall(r'init\("(.*?)"', page)[0]
    assert client.get(f"/openapi/{url}").status_code == 200


def test_the_index_leads_to_what_there_is(client: FlaskClient, caller: Caller) -> None:
    told = client.get("/").json
    assert told is not None
    page = client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.mimetype == "text/html"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    linked = re.findall(r'href="(.*?)"', page.get_data(as_text=True))
    assert linked == list(told["links"])
    for path in set(linked) - {"/readyz", "/metrics"}:
        assert client.get(path, headers=caller.headers).status_code == 200, path


def test_actions_are_told_to_whoever_has_a_key(client: FlaskClient, caller: Caller) -> None:
    assert client.get("/v1/actions").status_code == 401
    listed = client.get("/v1/actions", headers=caller.headers).json
    assert listed is not None
    one = client.get("/v1/actions/stripe.capture", headers=caller.headers).json
    assert one in listed["items"]
    missing = client.get("/v1/actions/stripe.captur", headers=caller.headers)
    assert missing.status_code == 404
    assert missing.json is not None
    assert "did you mean 'stripe.capture'" in missing.json["detail"]
    assert client.get("/v1/actions/Capture", headers=caller.headers).status_code == 422
