"""Compares the requests that the sandbox accepts with the types of OpenAI's SDK."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from ops.sandbox.openai.parameters import check, from_text
from ops.sandbox.wire import Refusal
from tests.sandbox.openai.describe import parameters

_FORM = "multipart/form-data"


def faults_of_request(operation: str, query: str, body: bytes, content_type: str) -> list[str]:
    """What the SDK's types refuse in a request; the parts of a form are not compared."""
    known = _described()
    schema = known["calls"].get(operation, {})
    if content_type.startswith(_FORM):
        return []
    given: dict[str, Any] = json.loads(body) if body else from_text(parse_qsl(query), schema)
    try:
        check(given, schema, known["types"])
    except Refusal as err:
        return [f"{operation}: {err.body['error']['message']}"]
    return []


@cache
def _described() -> dict[str, Any]:
    return parameters()
