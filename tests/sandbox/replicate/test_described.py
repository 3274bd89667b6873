"""The sandbox serves what Replicate describes, and the comparison notices what is wrong."""

from __future__ import annotations

import re

import pytest

from tests.sandbox.replicate import unchecked
from tests.sandbox.replicate.checked import faults_of_reply, faults_of_request

URL = "http://127.0.0.1/v1/predictions"
PREDICTION = (
    '{"id": "a", "model": "a/b", "version": "hidden", "input": {}, "output": null,'
    ' "data_removed": false, "error": null, "status": "starting",'
    ' "created_at": "2026-01-01T00:00:00Z",'
    ' "urls": {"web": "https://a.example", "get": "https://a.example", "cancel": "https://a.example"}}'
)
KIND = {"Content-Type": "application/json"}


def test_each_described_operation_is_served_under_its_path() -> None:
    served = {
        operation: (method, re.sub("<[^>]+>", "<>", path))
        for method, path, operation in unchecked.routes()
    }
    described = unchecked.operations()
    assert {name: served.get(name) for name in described} == described


def test_what_is_not_compared_is_listed() -> None:
    """`python -m tests.sandbox.replicate.unchecked` writes the list anew."""
    assert unchecked.FILE.read_text() == unchecked.text()


@pytest.mark.parametrize(
    ("changed", "to", "words"),
    [
        ('"status": "starting"', '"status": "lost"', "'lost' is not one of"),
        ('"error": null', '"error": 1', "1 is not of type"),
        ('"error": null', '"error": null, "colour": 1', "reply has no colour"),
        ('"id": "a", ', "", "'id' is a required property"),
        ("2026-01-01T00:00:00Z", "soon", "'soon' is not a 'date-time'"),
        ('"web": "https://a.example", ', '"stop": "https://a.example", ', "reply has no urls.stop"),
    ],
)
def test_a_wrong_reply_is_noticed(changed: str, to: str, words: str) -> None:
    assert faults_of_reply("GET", f"{URL}/a", 200, KIND, PREDICTION.encode()) == []
    wrong = PREDICTION.replace(changed, to).encode()
    assert words in " ".join(faults_of_reply("GET", f"{URL}/a", 200, KIND, wrong))


def test_a_status_that_is_not_described_is_noticed() -> None:
    assert faults_of_reply("GET", f"{URL}/a", 201, KIND, PREDICTION.encode()) == [
        "predictions.get answers no 201"
    ]
    assert faults_of_reply("POST", f"{URL}/a", 200, KIND, b"{}") == [
        "no operation POST /v1/predictions/a"
    ]


@pytest.mark.parametrize(
    ("query", "headers", "body", "words"),
    [
        ("?colour=red", {}, '{"version": "a", "input": {}}', "no parameter colour"),
        ("", {"Prefer": "wait=0"}, '{"version": "a", "input": {}}', "does not match"),
        ("", {}, '{"input": {}}', "'version' is a required property"),
        ("", {}, '{"version": 1, "input": {}}', "1 is not of type"),
        ("", {}, '{"version": "a", "input": {}, "colour": 1}', "body has no colour"),
    ],
)
def test_a_wrong_request_is_noticed(
    query: str, headers: dict[str, str], body: str, words: str
) -> None:
    assert words in " ".join(faults_of_request("POST", URL + query, headers, body.encode()))
