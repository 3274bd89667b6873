"""The sandbox's descriptions are those of the SDK."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.stripe import sdk
from tests.sandbox.stripe.checked import SHAPES, faults_of
from tests.sandbox.stripe.describe import FOLDER, KINDS, parameters


def test_the_parameters_are_those_of_the_sdk() -> None:
    """`python -m tests.sandbox.stripe.describe` writes them anew after an update of the SDK."""
    assert json.loads((FOLDER / "parameters.json").read_text()) == parameters()


@pytest.mark.parametrize("kind", KINDS)
def test_a_shape_has_only_fields_of_the_sdk(kind: str) -> None:
    known = sdk.object_fields(KINDS[kind])
    shown, included = set(SHAPES["fields"][kind]), set(SHAPES["included"][kind])
    assert shown | included == set(known) - {"deleted"}
    assert {name for name in known if known[name] is not None} <= shown


def test_a_wrong_reply_is_noticed() -> None:
    reply = {"data": [{"object": "tax_id", "id": "txi_1", "sandbox_secret": 1}]}
    assert "tax_id lacks created" in faults_of(reply)
    assert "tax_id has no sandbox_secret" in faults_of(reply)
