"""Risky payments are held until a person has decided: they are captured, or released."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import db, sightings
from app.engine.call import Call
from app.errors import Conflict, Forbidden, NotFound
from app.identity import keys
from app.platform import Json
from app.protocol import claims
from app.protocol.claims import Claim
from app.queries import human_tasks, workflow_detail
from app.settings import Settings, forget
from chains.actions import actions
from chains.commands.command import Caller
from chains.commands.retry import retry
from chains.commands.signal import Signal, give_signal
from tasks.stripe.client import api
from tasks.stripe.fraud import seen
from tasks.stripe.fraud.review import held_until
from tests.contract.stripe import selling
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel, kernel_of_ada
from tests.integration.driving import drive, pass_time, statuses

RISKY = {"payment_method": "pm_card_riskLevelElevated"}
KEY = "the key of the hashes of tests"


@pytest.fixture
def kernel(configure: Callable[..., Settings], fresh_database: str, valkey_url: str) -> Kernel:
    """A user's workflows; payments are counted."""
    configure(
        DATABASE_URL=fresh_database,
        REDIS_URL=valkey_url,
        STRIPE_INDEX_KEY=KEY,
        STRIPE_REVIEW_RULES="card 2/1h, email 90000eur/1d, amount 50000eur",
    )
    keys.create_key("ada@example.com")
    return kernel_of_ada()


def definition(kernel: Kernel, **given: Any) -> str:
    """A payment that is held, reviewed and captured."""
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}}
    steps = [
        {"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}},
        {"step": "review", "action": "stripe.review", "with": of_payment | given},
        {"step": "take", "action": "stripe.capture", "with": of_payment},
    ]
    return kernel.register({"sequence": steps})


def paying(kernel: Kernel, name: str, **changes: Any) -> UUID:
    workflow = kernel.start(name, AUTHORIZE | changes)
    drive()
    return workflow


def reasons(kernel: Kernel, workflow: UUID) -> list[str]:
    """Why the payment was held, or is."""
    row = db.row(
        "SELECT response->'reasons' AS found FROM intents"
        " WHERE workflow_id = %s AND step_key = 'review' ORDER BY generation DESC LIMIT 1",
        (workflow,),
    )
    assert row is not None
    return list(row["found"])


def decide(
    kernel: Kernel, workflow: UUID, *, approved: bool, email: str = "ada@example.com"
) -> None:
    caller = Caller(kernel.user_id, email)
    give_signal(caller, workflow, Signal("review", approved, "looked at it"))
    drive()


def test_a_payment_without_risk_passes(kernel: Kernel, vendors: Vendors) -> None:
    workflow = paying(kernel, definition(kernel))
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert kernel.step(workflow, "review")["output"]["decision"] == "not_needed"
    assert vendors.count("captures") == 1


@pytest.mark.parametrize("approved", [True, False])
def test_a_risky_payment_waits_for_a_person_and_is_captured_or_released(
    kernel: Kernel, vendors: Vendors, approved: bool
) -> None:
    workflow = paying(kernel, definition(kernel), **RISKY)
    assert statuses(workflow) == {"hold": "succeeded", "review": "waiting", "take": "pending"}
    (item,) = human_tasks.approvals(kernel.user_id, "ada@example.com").items
    assert (item["step"], item["signal"], item["is_yours"]) == ("review", "review", True)
    assert "elevated risk, score 70" in item["message"]
    assert item["amount"] == {"amount": AUTHORIZE["amount"], "currency": "eur"}
    shown = {each["key"]: each for each in workflow_detail(workflow, kernel.user_id)["steps"]}
    assert shown["review"]["waits_for"]["kind"] == "approval"
    assert vendors.count("captures") == 0

    decide(kernel, workflow, approved=approved)
    row = kernel.workflow(workflow)
    if approved:
        output = kernel.step(workflow, "review")["output"]
        assert (row["status"], output["decision"]) == ("succeeded", "approved")
        assert (output["by"], output["comment"]) == ("ada@example.com", "looked at it")
    else:
        assert row["status"] == "compensated"
        assert kernel.step(workflow, "review")["error_code"] == "rejected"
    counts = tuple(vendors.count(each) for each in ("captures", "cancellations", "refunds"))
    assert counts == ((1, 0, 0) if approved else (0, 1, 0))


def test_only_those_who_are_asked_decide(kernel: Kernel, vendors: Vendors) -> None:
    name = definition(kernel, hold="always", by=["Eve@example.com"])
    workflow = paying(kernel, name)
    with pytest.raises(Forbidden):
        decide(kernel, workflow, approved=True)
    decide(kernel, workflow, approved=True, email="eve@example.com")
    assert kernel.workflow(workflow)["status"] == "succeeded"


def reviews(kernel: Kernel, *asked: dict[str, Any]) -> UUID:
    """A payment that is held and reviewed once for each of the inputs."""
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}}
    steps = [{"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}}]
    for number, given in enumerate(asked):
        step = {"step": f"review{number}", "action": "stripe.review"}
        steps.append(step | {"with": of_payment | {"hold": "always"} | given})
    workflow = kernel.start(kernel.register({"sequence": steps}), AUTHORIZE)
    drive()
    return workflow


def test_a_decision_counts_for_one_review_only(kernel: Kernel, vendors: Vendors) -> None:
    workflow = reviews(kernel, {}, {"by": ["ada@example.com"]}, {})
    for number in range(3):
        waiting = [key for key, status in statuses(workflow).items() if status == "waiting"]
        assert waiting == [f"review{number}"]
        ada = Caller(kernel.user_id, "ada@example.com")
        for _ in range(2):
            # The second is a repetition of the same request.
            give_signal(ada, workflow, Signal(waiting[0], True), request_id=waiting[0])
        drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_decision_is_kept_while_the_review_is_tried_again(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = reviews(kernel, {"by": ["eve@example.com"]})
    vendors.fault("stripe", "payment_intents.retrieve", "status", status=503, count=1)
    db.row("UPDATE steps SET status = 'pending', wake_at = NULL WHERE key = 'review0'", ())
    with pytest.raises(Forbidden):
        give_signal(Caller(kernel.user_id, "ada@example.com"), workflow, Signal("review0", True))
    with pytest.raises(NotFound):
        give_signal(Caller(uuid4(), "mallory@example.com"), workflow, Signal("review0", True))
    eve = Caller(uuid4(), "eve@example.com")
    assert give_signal(eve, workflow, Signal("review0", True)).result == "stored"
    for _ in range(3):
        drive()
        pass_time("2 minutes")
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_a_decision_that_an_approval_left_over_does_not_decide_for_the_owner(
    kernel: Kernel, vendors: Vendors
) -> None:
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}, "hold": "always"}
    steps: list[Json] = [
        {"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}},
        {"step": "review", "action": "stripe.review", "with": of_payment},
        {"approval": "second", "signal": "review", "by": ["eve@example.com"]},
    ]
    workflow = kernel.start(kernel.register({"sequence": steps}), AUTHORIZE)
    eve = Caller(uuid4(), "eve@example.com")
    give_signal(eve, workflow, Signal("review", True))
    drive()
    assert statuses(workflow)["review"] == "waiting"


def test_the_owner_cannot_name_others_after_a_rejection(kernel: Kernel, vendors: Vendors) -> None:
    of_payment = {"payment_intent": {"$": "steps.hold.output.payment_intent"}, "hold": "always"}
    steps: list[Json] = [
        {"step": "hold", "action": "stripe.authorize", "with": {"$": "input"}},
        {"step": "review", "action": "stripe.review",
         "with": of_payment | {"by": ["eve@example.com"]}},
    ]  # fmt: skip
    name = kernel.register({"sequence": steps}, on_failure="hold")
    workflow = kernel.start(name, AUTHORIZE)
    drive()
    decide(kernel, workflow, approved=False, email="eve@example.com")
    assert kernel.step(workflow, "review")["error_code"] == "rejected"
    ada = Caller(kernel.user_id, "ada@example.com")
    changes: list[Json] = [{"by": ["ada@example.com"]}, {"hold": "when_risky"}]
    for change in changes:
        with pytest.raises(Conflict) as refused:
            retry(ada, workflow, step="review", input=change, reason="I know better")
        assert refused.value.code == "no_input"


def test_the_payment_is_released_before_its_hold_ends(kernel: Kernel, vendors: Vendors) -> None:
    early = paying(kernel, definition(kernel, within_seconds=3600.0), **RISKY)
    late = paying(kernel, definition(kernel), **RISKY)
    pass_time("61 minutes")
    drive()
    assert kernel.step(early, "review")["error_code"] == "review_timed_out"
    assert kernel.workflow(early)["status"] == "compensated"
    assert statuses(late)["review"] == "waiting"
    until = kernel.step(late, "review")["wake_at"]
    assert timedelta(days=6, hours=22) < until - datetime.now(UTC) < timedelta(days=6, hours=23)
    assert vendors.count("cancellations") == 1


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ({"type": "card", "card": {"capture_before": 1000}}, 1000),
        ({"type": "card_present", "card_present": {"capture_before": 2000}}, 2000),
        ({"type": "card_present", "card_present": {}}, 2 * 86400),
        ({"type": "link", "link": {}}, 7 * 86400),
        (None, 7 * 86400),
    ],
)
def test_the_hold_of_each_payment_method_has_its_end(details: Json | None, seconds: int) -> None:
    intent = {"created": 0, "latest_charge": {"payment_method_details": details}}
    assert held_until(intent).timestamp() == seconds


def test_a_review_that_stripe_closes_is_decided_there(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    name = definition(kernel)
    approved, fraudulent, ruled = (
        paying(kernel, name, **RISKY, customer_email=email, amount=amount)
        for email, amount in (("a@b.example", 100), ("c@d.example", 100), ("e@f.example", 50001))
    )
    for workflow in (approved, ruled):
        intent = api().retrieve_payment_intent(payment_of(kernel, workflow))
        api().perform(
            "reviews.approve",
            lambda v1, found=intent: v1.reviews.approve(found["review"]),  # type: ignore[misc]
            repeatable=False,
        )
    api().perform(
        "payment_intents.cancel",
        lambda v1: v1.payment_intents.cancel(
            payment_of(kernel, fraudulent), {"cancellation_reason": "fraudulent"}
        ),
        repeatable=True,
    )
    ends = datetime.now(UTC) + timedelta(seconds=20)
    while kernel.workflow(fraudulent)["status"] != "compensated" or (
        kernel.workflow(approved)["status"] != "succeeded"
    ):
        assert datetime.now(UTC) < ends
        drive()
    assert kernel.step(approved, "review")["output"]["by"] == "a person at Stripe"
    assert kernel.step(fraudulent, "review")["error_code"] == "hold_ended"
    # Stripe does not know our rules: who has made them decides.
    assert statuses(ruled)["review"] in ("waiting", "pending")
    assert vendors.count("captures") == 1


def payment_of(kernel: Kernel, workflow: UUID) -> str:
    return str(kernel.step(workflow, "hold")["output"]["payment_intent"])


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


def test_a_payment_that_another_workflow_made_is_not_shown(
    kernel: Kernel, vendors: Vendors
) -> None:
    payment = payment_of(kernel, paying(kernel, definition(kernel)))
    steps: list[Json] = [
        {"step": "review", "action": "stripe.review", "with": {"payment_intent": payment}}
    ]
    other = kernel.start(kernel.register({"sequence": steps}))
    drive()
    assert kernel.step(other, "review")["error_code"] == "belongs_to_other"
