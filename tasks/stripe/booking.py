"""Books what the actions have done at Stripe, as facts of their steps.

Each function is called with what the step's record or Stripe says, also at a later attempt: a fact
is booked once.
"""

from app import db, ledger
from app.engine.call import Call
from app.money.facts import Money, key_of
from app.platform import Json
from tasks.stripe import books
from tasks.stripe.books import BOOK
from tasks.stripe.fraud import seen


def hold(call: Call, held: Json) -> None:
    """Book the hold of a PaymentIntent, if the customer's bank has agreed to it."""
    if held["status"] == "requires_capture":
        call.book(books.authorized(held["payment_intent"], held["amount"], held["currency"]))


def held_by(intent: Json) -> int:
    """The amount that was held for a PaymentIntent, read with its latest charge; 0 if none was."""
    charge = intent.get("latest_charge") or {}
    return books.held_of(charge) if charge.get("status") == "succeeded" else 0


def release(call: Call, intent: Json) -> None:
    """Book that the hold of a PaymentIntent is over, if there was one."""
    about = {"payment_intent": intent["id"], "currency": intent["currency"]}
    let_go(call, about | {"released": held_by(intent)})


def let_go(call: Call, ended: Json) -> None:
    """Book that the hold `released` of a PaymentIntent is over, if there was one."""
    if ended["released"]:
        about = ended["payment_intent"], ended["released"], ended["currency"]
        call.book(books.authorized(*about), books.released(*about))


def capture(call: Call, taken: Json) -> None:
    """Book a capture with the hold that it ends: a shop may have made that in the browser."""
    payment, currency, charged = taken["payment_intent"], taken["currency"], taken["charged"]
    call.book(
        books.authorized(payment, charged, currency),
        books.released(payment, charged, currency),
        books.captured(taken["charge"], payment, amount=taken["amount"], currency=currency),
    )


def part(call: Call, taken: Json, transaction: str | None) -> None:
    """Book the capture of a part. The last part ends the hold. Without its balance transaction the
    statement tells the part."""
    payment, currency, charged = taken["payment_intent"], taken["currency"], taken["charged"]
    call.book(books.authorized(payment, charged, currency))
    if taken["is_last"]:
        call.book(books.released(payment, charged, currency))
    if transaction is not None:
        money = Money.of(taken["amount"], currency)
        call.book(books.part_of(transaction, taken["charge"], payment, money))


def taken(call: Call, charge: Json) -> None:
    """Book a captured charge that Stripe has made for the step, such as that of an invoice, and
    count it for the rules of later payments."""
    call.book(*books.taken_facts(charge))
    seen.note_paid(call, charge)


def refunds(call: Call, *made: Json) -> None:
    """Book refunds: that they are made, and that they have failed."""
    facts = (books.refund_facts({**each, "id": each["refund"]}) for each in made)
    call.book(*(fact for each in facts for fact in each))


def dispute(known: Json) -> None:
    """Book what a dispute shows, also if no webhook tells of it. It is a fact of the step that has
    taken the payment, and not of the one that reads the dispute."""
    ledger.book(*books.dispute_facts(known), source="step", seconds=db.OUTCOME_PATIENCE_SECONDS)


def first_for(call: Call, transactions: list[str]) -> str | None:
    """The first of some balance transactions whose part this step has booked, else the first whose
    part is not booked at all."""
    keys = {key_of(BOOK.platform, each, "capture"): each for each in transactions}
    by = ledger.bookers(keys)
    own = (each for key, each in keys.items() if by.get(key) == call.reference)
    free = (each for key, each in keys.items() if key not in by)
    return next(own, None) or next(free, None)
