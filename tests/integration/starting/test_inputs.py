"""A campaign's input at the door: each fault with its pointer, in words for people."""

from typing import Any

import pytest

from app.errors import InvalidInput
from chains.definitions.face_swap_campaign import INPUT_SCHEMA
from chains.starting.inputs import check_input
from tests.integration.conftest import Kernel

NOBODYS = "019a0000-0000-7000-8000-000000000001"
SOUND: dict[str, Any] = {
    "customer_email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "price": {"amount": 4900, "currency": "usd"},
    "source": NOBODYS,
    "targets": [NOBODYS],
    "brief": "An evening of portraits",
    "consent": {"by": "Ada", "at": "2026-11-22", "text": "I agree."},
}


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"customer_email": "a@b.c\n"}, "/input/customer_email", "an e-mail address"),
        ({"customer_email": "a@b.."}, "/input/customer_email", "an e-mail address"),
        ({"payment_method": "pm_card_visa\n"}, "/input/payment_method", "a Stripe payment method"),
        ({"brief": " \n"}, "/input/brief", "not blanks alone"),
        ({"brief": None}, "/input/brief", "must be of type string"),
        ({"targets": []}, "/input/targets", "at least 1"),
        ({"targets": [NOBODYS] * 51}, "/input/targets", "at most 50"),
        ({"source": "me.jpg"}, "/input/source", "is not an artifact's id"),
        ({"source": NOBODYS}, "/input/source", "upload it with POST /v1/artifacts"),
        ({"price": {"amount": True, "currency": "usd"}}, "/input/price/amount", "of type integer"),
        ({"price": {"amount": 0, "currency": "usd"}}, "/input/price/amount", "at least 1"),
        ({"price": {"amount": 1, "currency": "xyz"}}, "/input/price/currency", "three-letter code"),
        ({"surplus": 1}, "/input/surplus", "not known"),
        ({"consent": None}, "/input/consent", "must be of type object"),
        ({"consent": {"by": "Ada", "text": "yes"}}, "/input/consent/at", "required"),
        ({"consent": {**SOUND["consent"], "at": "2026-99-99"}}, "/input/consent/at", "a date"),
        ({"consent": {**SOUND["consent"], "at": "2999-01-01"}}, "/input/consent/at", "the future"),
        ({"consent": {**SOUND["consent"], "by": " "}}, "/input/consent/by", "not blanks alone"),
    ],
)
def test_each_fault_is_named_where_it_is(
    kernel: Kernel, change: dict[str, Any], pointer: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_input(INPUT_SCHEMA, SOUND | change, kernel.user_id)
    assert refused.value.field == pointer
    assert words in refused.value.message


def test_a_missing_consent_is_named(kernel: Kernel) -> None:
    given = {name: value for name, value in SOUND.items() if name != "consent"}
    with pytest.raises(InvalidInput) as refused:
        check_input(INPUT_SCHEMA, given, kernel.user_id)
    assert refused.value.errors == (("/input/consent", "this field is required"),)


@pytest.mark.parametrize(
    "photo",
    [{"$ref": "#/$defs/photo"}, {"allOf": [{"$ref": "#/$defs/photo"}]}],
    ids=["reference", "all of"],
)
def test_an_artifact_is_looked_for_wherever_its_schema_stands(
    kernel: Kernel, photo: dict[str, Any]
) -> None:
    schema = {
        "properties": {"photos": {"items": photo}},
        "$defs": {"photo": {"type": "string", "artifact": True}},
    }
    with pytest.raises(InvalidInput, match="there is no artifact") as refused:
        check_input(schema, {"photos": [NOBODYS]}, kernel.user_id)
    assert refused.value.field == "/input/photos/0"
