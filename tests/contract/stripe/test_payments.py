"""What only Stripe does: idempotency keys, declined cards, and refunds."""

from dataclasses import replace

import pytest

from app import db
from app.errors import NotServed, Permanent, Retryable, Unknown
from app.platform import Found, Never
from app.settings import Settings
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stripe.steps import AUTHORIZE, PAYMENT, authorize, capture
from tests.contract.vendors import Vendors


def test_a_captured_payment_is_not_released_but_refunded(step: Claim, vendors: Vendors) -> None:
    held = authorize(step)
    payment_intent = held.run()["payment_intent"]
    given = {"payment_intent": payment_intent}
    taken = step("stripe.capture", given, forked_from=held.claim.workflow_id)
    receipt = taken.run()
    assert receipt["amount"] == AUTHORIZE["amount"]
    assert receipt["charge"].startswith("ch_")
    assert held.undo()["result"] == "superseded"
    assert taken.undo()["result"] == "refunded"
    assert (vendors.count("cancellations"), vendors.count("refunds")) == (0, 1)


def test_a_lost_refund_is_not_given_twice(step: Claim, vendors: Vendors) -> None:
    taken = capture(step)
    taken.run()
    vendors.fault("stripe", "refunds.create", "lost_reply")
    with pytest.raises(Unknown):
        taken.undo()
    assert taken.undo()["result"] == "already"
    assert vendors.count("refunds") == 1


def test_a_step_is_not_found_by_another_ones_payment(step: Claim, vendors: Vendors) -> None:
    authorize(step).run()
    other = authorize(step)
    vendors.fault("stripe", "payment_intents.create", "reset_before")
    with pytest.raises(Unknown):
        other.run()
    assert isinstance(other.look_up(), Never)


def test_a_fork_takes_no_payment_that_is_captured_and_gives_none_back(
    step: Claim, vendors: Vendors
) -> None:
    taken = capture(step)
    taken.run()
    fork = step("stripe.capture", taken.given, forked_from=taken.claim.workflow_id)
    with pytest.raises(Permanent) as caught:
        fork.run()
    assert caught.value.code == "already_captured"
    assert str(taken.claim.workflow_id) in caught.value.message
    assert fork.undo()["result"] == "nothing"
    assert (vendors.count("captures"), vendors.count("refunds")) == (1, 0)
    assert taken.undo()["result"] == "refunded"


def test_a_lookup_does_not_find_the_capture_of_another_step(step: Claim, vendors: Vendors) -> None:
    taken = capture(step)
    fork = step("stripe.capture", taken.given, forked_from=taken.claim.workflow_id)
    vendors.fault("stripe", "payment_intents.capture", "reset_before")
    with pytest.raises(Unknown):
        fork.run()
    taken.run()
    assert isinstance(fork.look_up(), Never)
    assert fork.undo()["result"] == "nothing"
    assert vendors.count("refunds") == 0


def test_a_fork_captures_what_its_original_only_held_and_gives_it_back(
    step: Claim, vendors: Vendors
) -> None:
    held = authorize(step)
    given = {"payment_intent": held.run()["payment_intent"]}
    fork = step("stripe.capture", given, forked_from=held.claim.workflow_id)
    fork.run()
    late = step("stripe.capture", given, forked_from=held.claim.workflow_id)
    with pytest.raises(Permanent, match="captured already"):
        late.run()
    assert (held.undo()["result"], late.undo()["result"]) == ("superseded", "nothing")
    assert vendors.count("refunds") == 0
    assert fork.undo()["result"] == "refunded"


def test_a_payment_of_another_workflow_is_refused_and_left_alone(
    step: Claim, vendors: Vendors
) -> None:
    held = authorize(step)
    given = {"payment_intent": held.run()["payment_intent"]}
    stranger = step("stripe.capture", given)
    with pytest.raises(Permanent) as caught:
        stranger.run()
    assert caught.value.code == "belongs_to_other"
    assert str(held.claim.workflow_id) in caught.value.message
    assert stranger.undo()["result"] == "nothing"
    assert (vendors.count("captures"), vendors.count("refunds")) == (0, 0)
    assert held.undo()["result"] == "canceled"


def test_a_payment_without_a_mark_belongs_to_the_first_workflow_that_claims_it(
    step: Claim, vendors: Vendors
) -> None:
    first = capture(step)
    vendors.fault("stripe", "payment_intents.capture", "reset_before")
    with pytest.raises(Unknown):
        first.run()
    with pytest.raises(Permanent) as caught:
        step("stripe.capture", first.given).run()
    assert caught.value.code == "belongs_to_other"
    assert isinstance(first.look_up(), Never)
    first.run()
    assert vendors.count("captures") == 1


def test_a_key_that_a_refused_call_has_told_does_not_live_longer(
    step: Claim, vendors: Vendors
) -> None:
    prepared = authorize(step)
    vendors.fault("stripe", "payment_intents.create", "status", status=429)
    with pytest.raises(NotServed):
        prepared.run()
    # Almost a day later the call is sent again, and soon after that Stripe forgets the key.
    db.row(
        "UPDATE intents SET first_sent_at = first_sent_at - interval '23.5 h',"
        " key_sent_at = key_sent_at - interval '23.5 h'",
        (),
    )
    vendors.fault("stripe", "payment_intents.create", "lost_reply")
    with pytest.raises(Unknown):
        prepared.run()
    vendors.change(stripe__idempotency_seconds=0.0)
    with pytest.raises(Unknown, match="must be looked up"):
        prepared.run()
    assert vendors.count("authorizations") == 1
    assert isinstance(prepared.look_up(), Found)


@pytest.mark.parametrize("stuck", [0, 1])
def test_every_payment_that_a_retried_step_has_captured_is_given_back_once(
    step: Claim, vendors: Vendors, stuck: int
) -> None:
    taken, other = capture(step), capture(step)
    taken.run()
    again = replace(taken.retried(), given=other.given)
    again.run()
    payment = str((taken, other)[stuck].given["payment_intent"])
    vendors.fault("stripe", "refunds.create", "status", status=429, match=payment)
    with pytest.raises(NotServed):
        again.undo()
    assert vendors.count("refunds") == 1
    undone = again.undo()
    results = [each["result"] for each in undone["payments"]]
    assert (results[stuck], results[1 - stuck]) == ("refunded", "already")
    assert again.undo()["result"] == "already"
    assert vendors.count("refunds") == 2


def test_a_pending_refund_has_undone_nothing_until_it_succeeds(
    step: Claim, vendors: Vendors
) -> None:
    taken = capture(step)
    taken.run()
    vendors.change(stripe__refund_status="pending")
    for _ in range(3):
        with pytest.raises(Retryable) as caught:
            taken.undo()
        assert (caught.value.code, caught.value.after) == ("refund_pending", 3600.0)
    vendors.change(stripe__refund_status="succeeded")
    assert taken.undo()["result"] == "already"
    assert vendors.count("refunds") == 1


def test_a_refund_that_fails_after_it_was_pending_calls_for_a_person(
    step: Claim, vendors: Vendors
) -> None:
    taken = capture(step)
    taken.run()
    vendors.change(stripe__refund_status="pending")
    with pytest.raises(Retryable):
        taken.undo()
    vendors.change(stripe__refund_status="failed")
    db.row("UPDATE steps SET tries = 1 WHERE kind = 'undo'", ())
    with pytest.raises(Permanent) as caught:
        taken.undo()
    assert caught.value.code == "refund_failed"
    assert caught.value.detail["status"] == "failed"


def test_a_refund_that_has_failed_is_made_again_when_a_person_says_so(
    step: Claim, vendors: Vendors
) -> None:
    taken = capture(step)
    taken.run()
    vendors.change(stripe__refund_status="pending")
    with pytest.raises(Retryable):
        taken.undo()
    vendors.change(stripe__refund_status="failed")
    db.row("UPDATE steps SET tries = 1 WHERE kind = 'undo'", ())
    with pytest.raises(Permanent):
        taken.undo()
    # `resolve retry` sets the tries back; the attempt then asks for a new generation.
    db.row("UPDATE steps SET tries = 0 WHERE kind = 'undo'", ())
    with pytest.raises(Retryable) as caught:
        taken.undo()
    assert caught.value.stored
    vendors.change(stripe__refund_status="succeeded")
    db.row("UPDATE steps SET generation = generation + 1 WHERE kind = 'undo'", ())
    assert taken.undo()["result"] == "refunded"
    assert taken.undo()["result"] == "already"


def test_a_payment_is_free_again_if_the_workflow_that_claimed_it_has_taken_nothing(
    step: Claim, vendors: Vendors
) -> None:
    first = capture(step)
    vendors.fault("stripe", "payment_intents.capture", "status", status=400)
    with pytest.raises(Permanent):
        first.run()
    second = step("stripe.capture", first.given)
    with pytest.raises(Permanent, match="belongs to workflow"):
        second.run()
    ended = "UPDATE workflows SET status = 'failed', completed_at = clock_timestamp() WHERE id = %s"
    db.row(ended, (first.claim.workflow_id,))
    second.run()
    db.row(ended, (second.claim.workflow_id,))
    with pytest.raises(Permanent, match="belongs to workflow"):
        step("stripe.capture", first.given).run()


def test_a_declined_card_is_permanent_and_names_the_payment(
    settings: Settings, vendors: Vendors
) -> None:
    with pytest.raises(Permanent) as caught:
        api().create_payment_intent(
            {**PAYMENT, "payment_method": "pm_card_chargeDeclined"}, "key-2"
        )
    assert caught.value.code == "card_declined"
    assert caught.value.detail["payment_intent"].startswith("pi_")
    assert vendors.count("authorizations") == 0


def test_a_price_in_a_currency_of_small_units_is_not_too_large(
    step: Claim, vendors: Vendors
) -> None:
    given = {**AUTHORIZE, "amount": 2_500_000_000, "currency": "IDR"}
    assert step("stripe.authorize", given).run()["amount"] == 2_500_000_000
    with pytest.raises(Permanent) as caught:
        api().create_payment_intent({**PAYMENT, "amount": 1_000_000_000_000}, "key-large")
    assert caught.value.code == "amount_too_large"


def test_a_wrong_currency_points_at_the_field(settings: Settings) -> None:
    with pytest.raises(Permanent) as caught:
        api().create_payment_intent({**PAYMENT, "currency": "xxx"}, "key-3")
    assert caught.value.detail == {"param": "currency"}


def test_a_stored_failure_asks_for_another_key(settings: Settings, vendors: Vendors) -> None:
    vendors.fault("stripe", "payment_intents.create", "status", status=500, stored=True)
    with pytest.raises(Unknown):
        api().create_payment_intent(PAYMENT, "key-4")
    with pytest.raises(Retryable) as caught:
        api().create_payment_intent(PAYMENT, "key-4")
    assert caught.value.stored
    assert api().create_payment_intent(PAYMENT, "key-5")["status"] == "requires_capture"


def test_other_parameters_under_a_used_key_are_unknown(settings: Settings) -> None:
    api().create_payment_intent(PAYMENT, "key-6")
    with pytest.raises(Unknown):
        api().create_payment_intent({**PAYMENT, "amount": 2000}, "key-6")


def test_the_same_key_makes_one_payment(settings: Settings, vendors: Vendors) -> None:
    made = [api().create_payment_intent(PAYMENT, "key-7")["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert vendors.count("payment_intents") == 1
