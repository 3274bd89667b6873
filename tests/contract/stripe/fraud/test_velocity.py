"""Payments are counted by card, address and amount; above a rule they are held for review."""

from collections.abc import Callable

import pytest

from app import db, sightings
from app.engine.call import Call
from app.platform import Json
from app.protocol import claims
from app.protocol.claims import Claim
from app.settings import Settings, forget
from chains.actions import actions
from tasks.stripe.fraud import seen
from tests.contract.stripe import selling
from tests.contract.stripe.fraud.reviewing import (
    KEY,
    decide,
    definition,
    paying,
    reasons,
)
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, statuses


def test_payments_of_one_card_are_counted_once_each_and_held_above_the_rule(
    kernel: Kernel, vendors: Vendors
) -> None:
    name = definition(kernel)
    emails = [f"customer{number}@example.com" for number in range(4)]
    workflows = [paying(kernel, name, customer_email=email) for email in emails[:2]]
    assert {kernel.workflow(each)["status"] for each in workflows} == {"succeeded"}
    third = paying(kernel, name, customer_email=emails[2])
    assert reasons(kernel, third) == ["3 payments with this card in 1h; more than 2 are reviewed"]
    other = paying(kernel, name, customer_email=emails[3], payment_method="pm_card_mastercard")
    assert kernel.workflow(other)["status"] == "succeeded"
    decide(kernel, third, approved=False)
    pass_time("2 hours")
    later = paying(kernel, name, customer_email=emails[3])
    assert kernel.workflow(later)["status"] == "succeeded"


def test_payments_to_one_postal_address_are_held_above_the_rule(
    kernel: Kernel, vendors: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_REVIEW_RULES", "address 2/1h")
    forget()
    name, cards = definition(kernel), ["pm_card_visa", "pm_card_mastercard", "pm_card_amex"]
    lines = ["Main St. 1", "main st 1", "MAIN ST. 1"]
    of: list[Json] = [
        {
            "customer_email": f"customer{number}@example.com",
            "payment_method": card,
            "shipping": {"name": f"C {number}", "address": {"line1": line, "city": "Vienna"}},
        }
        for number, (card, line) in enumerate(zip(cards, lines, strict=True))
    ]
    assert {kernel.workflow(paying(kernel, name, **each))["status"] for each in of[:2]} == {
        "succeeded"
    }
    third = paying(kernel, name, **of[2])
    assert reasons(kernel, third) == [
        "3 payments with this postal address in 1h; more than 2 are reviewed"
    ]
    assert statuses(third)["review"] == "waiting"


def test_a_payment_of_an_invoice_counts_for_the_card(kernel: Kernel, vendors: Vendors) -> None:
    lines = [{"description": "a picture", "amount": 700}]
    given = {"customer": selling.customer("pm_card_visa"), "currency": "eur", "lines": lines}
    bill = kernel.register({"step": "bill", "action": "stripe.invoice", "with": given})
    for _ in range(2):
        paid = kernel.start(bill)
        drive()
        assert kernel.workflow(paid)["status"] == "succeeded"
    third = paying(kernel, definition(kernel))
    assert reasons(kernel, third) == ["3 payments with this card in 1h; more than 2 are reviewed"]


def test_a_review_without_the_key_says_that_nothing_was_counted(
    kernel: Kernel,
    vendors: Vendors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = paying(kernel, definition(kernel))
    monkeypatch.delenv("STRIPE_INDEX_KEY")
    forget()
    workflow = paying(kernel, definition(kernel))
    outputs = [kernel.step(each, "review")["output"] for each in (counted, workflow)]
    assert [each["is_counted"] for each in outputs] == [True, False]


def test_declined_payments_count_too(kernel: Kernel, vendors: Vendors) -> None:
    name = definition(kernel)
    for _ in range(2):
        declined = paying(kernel, name, payment_method="pm_card_chargeDeclined", amount=100)
        assert kernel.step(declined, "hold")["error_code"] == "card_declined"
    (row,) = db.rows(
        "SELECT count(*) AS n, count(DISTINCT card) AS cards FROM payment_sightings", ()
    )
    assert (row["n"], row["cards"]) == (2, 1)


def test_payments_are_counted_while_stripe_answers_no_reads(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.fault("stripe", "payment_intents.retrieve", "status", status=429, count=-1)
    step = {"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}}
    name = kernel.register(step)
    for method in ("pm_card_visa", "pm_card_chargeDeclined"):
        workflow = kernel.start(name, AUTHORIZE | {"payment_method": method})
        drive(1)
        assert kernel.step(workflow, "hold")["status"] in ("succeeded", "failed")
    rows = db.rows("SELECT card, email FROM payment_sightings", ())
    assert len({bytes(row["card"]) for row in rows}) == 2
    assert len({bytes(row["email"]) for row in rows}) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"amount": "much"},
        {"currency": None},
        {"latest_charge": {"billing_details": "none"}},
        {"latest_charge": {"payment_method_details": {"card": "visa"}}},
        {"receipt_email": 7},
    ],
)
def test_an_answer_of_another_shape_fails_no_payment(kernel: Kernel, odd: Json) -> None:
    workflow = kernel.start(definition(kernel), AUTHORIZE)
    claimed = claims.claim_step(workflow, "hold", 60.0)
    assert isinstance(claimed, Claim)
    intent = {"id": "pi_odd", "amount": 100, "currency": "eur", "latest_charge": None} | odd
    seen.note_soon(Call(claimed, actions()["stripe.authorize"]), "pi_odd", intent)
    assert db.rows("SELECT 1 FROM payment_sightings", ()) == []


def test_amounts_are_counted_in_their_currency(kernel: Kernel, vendors: Vendors) -> None:
    name = definition(kernel)
    first = paying(kernel, name, amount=45000, payment_method="pm_card_visa")
    paying(kernel, name, amount=45000, currency="USD", payment_method="pm_card_amex")
    same = paying(kernel, name, amount=45000, payment_method="pm_card_mastercard")
    assert [reasons(kernel, each) for each in (first, same)] == [[], []]
    above = paying(kernel, name, amount=50001, payment_method="pm_card_discover")
    assert reasons(kernel, above) == [
        "1,400.01 EUR with this e-mail address in 1d; more than 900.00 EUR are reviewed",
        "500.01 EUR at once; more than 500.00 EUR are reviewed",
    ]


def test_no_address_is_stored_and_a_person_can_be_forgotten(
    kernel: Kernel, vendors: Vendors
) -> None:
    paying(kernel, definition(kernel), customer_email="Ada.Lovelace@example.com")
    (row,) = db.rows("SELECT * FROM payment_sightings", ())
    assert len(bytes(row["email"])) == len(bytes(row["card"])) == 32
    assert "lovelace" not in str(row).casefold()
    hashed = sightings.hashed(KEY.encode(), "email", "ada.lovelace@EXAMPLE.com")
    assert hashed == bytes(row["email"])
    assert sightings.forget([hashed or b""]) == 1
    assert db.rows("SELECT 1 FROM payment_sightings", ()) == []


def test_all_traces_of_a_person_are_forgotten_also_those_of_an_old_key(
    kernel: Kernel,
    vendors: Vendors,
    configure: Callable[..., Settings],
    fresh_database: str,
    valkey_url: str,
) -> None:
    name = definition(kernel)
    paying(kernel, name, customer_email="ada.lovelace@example.com")
    paying(kernel, name, customer_email="countess@example.com")
    other = {"payment_method": "pm_card_mastercard", "customer_email": "eve@example.com"}
    paying(kernel, name, **other)
    stores = {"DATABASE_URL": fresh_database, "REDIS_URL": valkey_url}
    configure(**stores, STRIPE_INDEX_KEY="another key for the hashes", STRIPE_INDEX_KEY_OLD=KEY)
    # The second payment has the card of the first.
    assert seen.forget_payer("Ada.Lovelace@example.com") == 2
    (left,) = db.rows("SELECT email FROM payment_sightings", ())
    assert bytes(left["email"]) == sightings.hashed(KEY.encode(), "email", "eve@example.com")
