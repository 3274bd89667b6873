"""The facts about customers' money in Stripe's objects.

Invariant: a fact that an object shows has happened for ever, whatever becomes of the object. So the
order in which objects are seen does not matter: an older state of an object shows fewer facts, and
none that a newer state takes back. No object needs to be read again because its event may be late.

What Stripe has taken or given is booked in the presentment currency, which the customer sees, on
the account `stripe:settling`; the balance transaction then moves it to `stripe:balance` in the
settlement currency. https://docs.stripe.com/reports/reporting-categories
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.keys import workflow_of
from app.money.facts import Book, Fact, Money, key_of
from app.platform import Json
from tasks.stripe.events.versions import is_ours
from tasks.stripe.marks import AT_ONCE, CONFIRMED_AFTER

BOOK = Book("stripe")
FAILED_REFUND = ("failed", "canceled")
"""The statuses of a refund that did not give the money back."""
_UNPAID_PAYOUT = ("failed", "canceled")
KIND_OF = {
    "charge": "capture",
    "charge_failure": "capture_failed",
    "partial_capture_reversal": "capture",
    "refund": "refund",
    "refund_failure": "refund_failed",
    "dispute": "dispute",
    "dispute_reversal": "dispute_reinstated",
    "payout": "payout",
    "payout_reversal": "payout_reversal",
}
"""The kind of the fact that a balance transaction of a reporting category settles."""


def authorized(payment_intent: str, amount: int, currency: str) -> Fact:
    """The customer's bank holds the amount for the PaymentIntent."""
    return _hold(payment_intent, Money.of(amount, currency))


def released(payment_intent: str, amount: int, currency: str) -> Fact:
    """The hold of the amount is over: it is captured, canceled or has expired."""
    lines = BOOK.held(-Money.of(amount, currency))
    ids = {"payment_intent": payment_intent}
    return BOOK.fact("authorization_released", payment_intent, lines, external_ids=ids)


def _hold(payment_intent: str, money: Money) -> Fact:
    ids = {"payment_intent": payment_intent}
    return BOOK.fact("authorization", payment_intent, BOOK.held(money), external_ids=ids)


def captured(
    charge: str,
    payment_intent: str | None,
    *,
    amount: int,
    currency: str,
    reference: str | None = None,
) -> Fact:
    """`amount` is captured of a charge."""
    ids = {"charge": charge} | ({"payment_intent": payment_intent} if payment_intent else {})
    lines = BOOK.captured(Money.of(amount, currency))
    return BOOK.fact("capture", charge, lines, external_ids=ids, reference=reference)


def charge_facts(charge: Json, *, is_expired: bool = False) -> list[Fact]:
    """The facts that a Charge shows. `is_expired`: its hold has expired.

    A charge that one of our steps has made is booked by the steps that hold and capture it, so that
    the entries name them; except that its hold has ended without a capture, or that the customer
    has paid at once, which no other step captures, or that no more of it is captured in parts,
    which may be so without a last capture. A hold that was made
    elsewhere is booked when it is over: until then it is not known who captures it.
    """
    if charge["status"] != "succeeded":
        return []
    mark = _reference(charge)
    if charge["captured"] and is_in_parts(charge):
        return taken_facts(charge)
    if charge["captured"] and not is_expired:
        is_of_step = mark is not None and AT_ONCE not in charge["metadata"]
        return [] if is_of_step else taken_facts(charge)
    is_over = charge["refunded"] or is_expired
    return [_marked(fact, mark) for fact in _hold_of(charge)] if is_over else []


def is_in_parts(charge: Json) -> bool:
    """Whether a Charge may be captured in several parts. Then each balance transaction of it is a
    capture of its own, because the charge shows only their sum."""
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    return (card.get("multicapture") or {}).get("status") == "available"


def part_of(transaction: str, charge: str, payment_intent: str | None, money: Money) -> Fact:
    """A part of a charge is captured, which this balance transaction shows."""
    ids = {"charge": charge, "balance_transaction": transaction}
    ids |= {"payment_intent": payment_intent} if payment_intent else {}
    return BOOK.fact("capture", transaction, BOOK.captured(money), external_ids=ids)


def taken_facts(charge: Json) -> list[Fact]:
    """The facts of a captured Charge, whoever has captured it: its hold, if it had one, is over.

    Of one that may be captured in parts, the statement tells the parts. It is captured when no more
    of it can be.
    """
    mark = _reference(charge)
    if is_in_parts(charge):
        return [_marked(fact, mark) for fact in _hold_of(charge)] if charge["captured"] else []
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    held = _hold_of(charge) if card.get("capture_before") is not None else ()
    return [*(_marked(fact, mark) for fact in held), capture_of(charge)]


def held_of(charge: Json) -> int:
    """The amount that was held for a Charge. More may have been captured."""
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    return int(card.get("amount_authorized") or charge["amount"])


def _hold_of(charge: Json) -> tuple[Fact, Fact]:
    """That the amount of a Charge was held, and that the hold is over."""
    payment = _id(charge.get("payment_intent")) or charge["id"]
    about = (payment, held_of(charge), charge["currency"])
    return authorized(*about), released(*about)


def capture_of(charge: Json) -> Fact:
    """The fact of the capture of a Charge, whoever has made it."""
    return captured(
        charge["id"],
        _id(charge.get("payment_intent")),
        amount=charge["amount_captured"],
        currency=charge["currency"],
        reference=_reference(charge),
    )


def failed_facts(charge: Json) -> list[Fact]:
    """The fact that a payment was taken back since it failed after all, as a debit of a bank
    account may days later."""
    lines = BOOK.captured(-Money.of(charge["amount"], charge["currency"]))
    ids = _ids(charge, "charge", "payment_intent")
    of_key = key_of(BOOK.platform, charge["id"], "capture")
    mark = _reference(charge)
    kind = "capture_failed"
    return [BOOK.fact(kind, charge["id"], lines, of_key=of_key, external_ids=ids, reference=mark)]


def refund_facts(refund: Json) -> list[Fact]:
    """The facts that a Refund shows: that it has left the balance, and that it came back."""
    has_failed = refund["status"] in FAILED_REFUND
    if not refund.get("balance_transaction") and refund["status"] != "succeeded":
        return []
    money = Money.of(refund["amount"], refund["currency"])
    kinds = [("refund", "refunds", money)]
    kinds += [("refund_failed", "refunds_failed", -money)] if has_failed else []
    return [
        BOOK.fact(
            kind,
            refund["id"],
            BOOK.given_back(each, account),
            of_key=_capture_of(refund),
            external_ids=_ids(refund, "refund", "charge", "payment_intent"),
            reference=_reference(refund),
            occurred_at=_time(refund) if kind == "refund" else None,
        )
        for kind, account, each in kinds
    ]


def dispute_facts(dispute: Json, *, seen_at: datetime | None = None) -> list[Fact]:
    """The facts that a Dispute shows: its stage, by its balance transactions what it has taken and
    given back, with the fee of each, and whether that is lost. `seen_at` is when it was in this
    stage; None for now. An inquiry has a stage, and moves no money.

    What is taken is no loss until the dispute is lost, because it may come back: so it stands on
    an account of its own, which shows what is at risk. (To derive that from the stages would leave
    books, and exports of them, that do not tell it.) What was lost and comes back, as after an
    appeal, is no loss any more (see `recover_loss_v1`); the appeal alone brings nothing back.
    """
    money = Money.of(dispute["amount"], dispute["currency"])
    signs = {"dispute": money, "dispute_reinstated": -money}
    common: Any = {
        "of_key": _capture_of(dispute),
        "external_ids": _ids(dispute, "dispute", "charge", "payment_intent"),
    }
    found = [_stage_of(dispute, common, seen_at)]
    for txn in dispute.get("balance_transactions") or []:
        kind = KIND_OF.get(txn["reporting_category"])
        if kind not in signs:
            continue
        lines = BOOK.disputed(signs[kind])
        found.append(BOOK.fact(kind, dispute["id"], lines, occurred_at=_time(txn), **common))
        found += fee_facts(txn)
    if dispute["status"] == "lost" and any(fact.kind == "dispute" for fact in found):
        lines = BOOK.lost(money)
        lost = BOOK.fact("dispute_lost", dispute["id"], lines, occurred_at=seen_at, **common)
        found.append(lost)
    return found


def _stage_of(dispute: Json, common: Any, seen_at: datetime | None) -> Fact:
    """The stage of a Dispute. It is decided again after an appeal, which leaves its evidence."""
    status = dispute["status"]
    appeal = ((dispute.get("evidence") or {}).get("appeal") or {}).get("card")
    stage = f"{status}_after_appeal" if appeal and status in ("won", "lost") else status
    return BOOK.fact("dispute_stage", dispute["id"], (), stage=stage, occurred_at=seen_at, **common)


def payout_facts(payout: Json) -> list[Fact]:
    """The facts that a Payout shows: it has left the balance, and has come back if it failed."""
    money = Money.of(payout["amount"], payout["currency"])
    kinds = [("payout", money)]
    kinds += [("payout_reversal", -money)] if payout["status"] in _UNPAID_PAYOUT else []
    return [
        BOOK.fact(
            kind,
            payout["id"],
            BOOK.given_back(each, "payouts"),
            external_ids=_ids(payout, "payout"),
            occurred_at=_time(payout) if kind == "payout" else None,
        )
        for kind, each in kinds
    ]


def fee_facts(txn: Json) -> list[Fact]:
    """What Stripe keeps of a balance transaction."""
    if not txn["fee"]:
        return []
    kind = KIND_OF.get(txn["reporting_category"])
    is_dispute = kind in ("dispute", "dispute_reinstated")
    money = Money.of(txn["fee"], txn["currency"])
    lines = BOOK.paid(money, "dispute_fees" if is_dispute else None)
    return [_of(txn, "dispute_fee" if is_dispute else "fee", lines)]


def canceled_facts(intent: Json) -> list[Fact]:
    """The facts that a canceled PaymentIntent shows: a hold that it had is over.

    Its last charge is a hold unless it was declined. Since 2025-03-31.basil no event of the charge
    says that the hold is over.
    """
    if intent["status"] != "canceled" or not intent.get("latest_charge"):
        return []
    declined = (intent.get("metadata") or {}).get(CONFIRMED_AFTER)
    if intent.get("last_payment_error") or declined == _id(intent["latest_charge"]):
        # The error is gone if a step was about to confirm the payment again.
        return []
    about = intent["id"], intent["amount"], intent["currency"]
    return [_marked(fact, _reference(intent)) for fact in (authorized(*about), released(*about))]


def event_facts(event: Json) -> list[Fact]:
    """The facts that the object of an event shows. Events without money have none, and neither have
    those of connected accounts: their money is not ours.

    An event in our version of the API is booked as it is. Each of its facts stays true whatever
    comes later: what is captured, given back, disputed, paid out or failed has an amount for ever,
    and no fact says what state an object is in now. An event in another version, whose fields may
    be elsewhere or mean something else, shows no fact until its object is read (completing.py).
    """
    if event.get("account") or not is_ours(event):
        return []
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not isinstance(about, dict) or not isinstance(about.get("object"), str):
        return []
    kind = about["object"]
    if kind == "charge":
        return charge_facts(about, is_expired=event["type"] == "charge.expired")
    if kind == "dispute":
        # A thin event has its time as text. Its object was read now, whatever it was then.
        is_whole = isinstance(event.get("created"), int)
        return dispute_facts(about, seen_at=_time(event) if is_whole else None)
    readers = {
        "refund": refund_facts,
        "payout": payout_facts,
        "payment_intent": canceled_facts,
    }
    return readers[kind](about) if kind in readers else []


def settled_key(txn: Json) -> str | None:
    """The key of the fact that a balance transaction settles, if it settles one. Its source tells
    whether it is one of several captures, if the source is expanded."""
    kind, source = KIND_OF.get(txn["reporting_category"]), txn.get("source")
    source_id = _id(source)
    if kind is None or source_id is None:
        return None
    is_part = txn["reporting_category"] == "charge" and is_in_parts(
        source if isinstance(source, dict) else {}
    )
    return key_of(BOOK.platform, txn["id"] if is_part else source_id, kind)


def _of(txn: Json, kind: str, lines: Any) -> Fact:
    source = _id(txn.get("source"))
    ids = {"balance_transaction": txn["id"]} | ({"source": source} if source else {})
    return BOOK.fact(
        kind,
        txn["id"],
        lines,
        of_key=settled_key(txn),
        occurred_at=_time(txn),
        external_ids=ids,
    )


def _capture_of(about: Json) -> str | None:
    """The key of the capture that a refund or a dispute is about."""
    charge = _id(about.get("charge"))
    return None if charge is None else key_of(BOOK.platform, charge, "capture")


def _marked(fact: Fact, mark: str | None) -> Fact:
    return fact if mark is None else replace(fact, reference=mark)


def _reference(about: Json) -> str | None:
    """The mark of our step. A shop may use the same word in its own metadata for something else."""
    mark = (about.get("metadata") or {}).get("reference")
    return mark if isinstance(mark, str) and workflow_of(mark) else None


def is_of_step(about: Json) -> bool:
    """Whether one of our steps has made an object."""
    return _reference(about) is not None


def _ids(about: Json, own: str, *others: str) -> Mapping[str, str]:
    found = {own: about["id"], **{name: _id(about.get(name)) for name in others}}
    return {name: value for name, value in found.items() if value}


def _id(value: Any) -> str | None:
    """The id of an object that may be expanded."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _time(about: Json) -> datetime | None:
    created = about.get("created")
    return None if created is None else datetime.fromtimestamp(created, UTC)
