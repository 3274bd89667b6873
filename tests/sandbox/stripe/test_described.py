"""The sandbox's descriptions are those of the SDK."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.stripe import sdk, unchecked
from tests.sandbox.stripe.asked import faults_of_request
from tests.sandbox.stripe.checked import SHAPES, faults_of, unknown_kinds
from tests.sandbox.stripe.describe import FOLDER, KINDS, parameters, thin_events


def test_the_parameters_are_those_of_the_sdk() -> None:
    """`python -m tests.sandbox.stripe.describe` writes them anew after an update of the SDK."""
    assert json.loads((FOLDER / "parameters.json").read_text()) == parameters()


def test_the_thin_events_are_those_of_the_sdk() -> None:
    assert json.loads((FOLDER / "thin_events.json").read_text()) == thin_events()


@pytest.mark.parametrize("kind", KINDS)
def test_a_shape_has_only_fields_of_the_sdk(kind: str) -> None:
    known = sdk.object_fields(KINDS[kind])
    shown, included = set(SHAPES["fields"][kind]), set(SHAPES["included"][kind])
    assert shown | included == set(known) - {"deleted"}
    assert {name for name in known if known[name] is not None} <= shown


def test_a_wrong_request_is_noticed() -> None:
    url = "http://127.0.0.1/v1/payment_intents"
    right = "amount=1000&currency=eur&metadata[a]=b&expand[0]=latest_charge"
    assert faults_of_request("post", url, right) == []
    for wrong, words in (
        (f"{right}&colour=red", "unknown parameter: colour"),
        ("amount=1000", "Missing required param: currency"),
        (f"{right}&amount=much", "Invalid integer: much"),
        (f"{right}&capture_method=late", "Invalid capture_method"),
        (f"{right}&payment_method_options[card][odd]=1", "payment_method_options[card][odd]"),
    ):
        (fault,) = faults_of_request("post", url, wrong)
        assert words in fault
    (fault,) = faults_of_request("get", f"{url}/pi_1?amount=1", "")
    assert "unknown parameter: amount" in fault


def test_what_is_not_compared_is_listed() -> None:
    """`python -m tests.sandbox.stripe.unchecked` writes the list anew."""
    assert unchecked.FILE.read_text() == unchecked.text()


def test_a_kind_without_a_shape_is_noticed() -> None:
    assert unknown_kinds({"object": "list", "data": [{"object": "chair"}]}) == {"chair"}


def test_a_wrong_reply_is_noticed() -> None:
    reply = {"data": [{"object": "tax_id", "id": "txi_1", "sandbox_secret": 1}]}
    assert "tax_id lacks created" in faults_of(reply)
    assert "tax_id has no sandbox_secret" in faults_of(reply)
