"""Stripe's balance transactions, as the statement with which the ledger is compared.

https://docs.stripe.com/reports/balance-transaction-types
https://docs.stripe.com/reports/reporting-categories
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from app.money.facts import UNREADABLE, Fact, Money, moved
from app.money.statements import Movement, Page, is_same
from app.platform import Json
from tasks.stripe import books
from tasks.stripe.books import BOOK, KIND_OF
from tasks.stripe.client import api
from tasks.stripe.wording import id_of

log = structlog.get_logger()

_TOLD = ("capture", "refund", "refund_failed", "dispute", "dispute_reinstated")
"""The kinds of facts that a step or a webhook tells. Webhooks tell of payouts too, but a payout
that only the statement tells needs no person."""
_HOLD = ("authorization", "authorization_released")
_OUTCOME = ("dispute_stage", "dispute_lost")
_FEES = ("fee", "network_cost", "tax")


def read(since: datetime, until: datetime, cursor: str | None) -> Page:
    """A part of the statement of an interval; raises an Outcome if Stripe does not answer."""
    page = api().balance_transactions(since, until, cursor)
    following = page["data"][-1]["id"] if page["has_more"] and page["data"] else None
    return stated(page["data"], following)


def stated(transactions: Sequence[Json], following: str | None) -> Page:
    """A part of a statement with these balance transactions; one that cannot be read stops none."""
    found, unreadable = [], []
    for txn in transactions:
        try:
            found.append(movement(txn))
        except UNREADABLE as err:
            log.error("ledger.movement_unreadable", movement=txn["id"], exc_info=err)
            unreadable.append(txn["id"])
    return Page(found, following, unreadable)


def movement(txn: Json) -> Movement:
    """A balance transaction as a movement, with the facts that it tells.

    The `amount` of the source times the exchange rate is the `amount` of the transaction: both in
    minor units, whatever the decimals of their currencies.
    https://docs.stripe.com/api/balance_transactions/object
    """
    money = Money.of(txn["amount"], txn["currency"])
    at = datetime.fromtimestamp(txn["created"], UTC)
    settles, source = KIND_OF.get(txn["reporting_category"]), txn.get("source")
    key = books.settled_key(txn)
    if settles is None or key is None:
        own = (*_adjustment(txn, money), *books.fee_facts(txn))
        return Movement(txn["id"], BOOK.platform, at, money, own=own)
    told = _told(settles, source, at) if isinstance(source, dict) else ()
    is_told = settles in _TOLD
    if settles == "capture" and isinstance(source, dict) and books.is_in_parts(source):
        told = (replace(_captured_part(txn, source), occurred_at=at),)
        # No webhook tells the parts that somebody else has captured.
        is_told = books.is_of_step(source)
    return Movement(
        txn["id"],
        BOOK.platform,
        at,
        money,
        settles=key,
        rate=txn.get("exchange_rate"),
        part=_part(txn, source) if isinstance(source, dict) else None,
        whole=_whole(txn, source) if isinstance(source, dict) else None,
        told=told,
        own=tuple(books.fee_facts(txn)),
        is_told=is_told,
    )


def _part(txn: Json, charge: Json) -> Money | None:
    """What a balance transaction of a partial capture moves, if Stripe books it in two of them.

    Until 2025-03-31.basil there is one of the whole charge, and one of the rest in the other
    direction. A capture that was made with an older version of the API is still booked so.
    A charge that is captured several times has a transaction of each capture. (If it is exchanged
    too, it is not known which part of the charge that is.)
    https://docs.stripe.com/payments/multicapture
    """
    category = txn["reporting_category"]
    if books.is_in_parts(charge):
        return None
    if category not in ("charge", "partial_capture_reversal"):
        return None
    whole = Money.of(charge["amount"], charge["currency"])
    rest = Money.of(charge["amount"] - charge["amount_captured"], charge["currency"])
    if category == "partial_capture_reversal":
        return -rest
    stated = Money.of(txn["amount"], txn["currency"])
    if _whole(txn, charge) is not None:
        return stated
    is_whole = rest.amount and is_same(stated, whole, txn.get("exchange_rate"))
    return whole if is_whole else None


def _captured_part(txn: Json, charge: Json) -> Fact:
    """The capture of a part of a charge, in the presentment currency, as its transaction shows."""
    amount = txn["amount"]
    if rate := txn.get("exchange_rate"):
        amount = round(amount / rate)
    payment = charge.get("payment_intent")
    money = Money.of(amount, charge["currency"])
    return books.part_of(txn["id"], charge["id"], id_of(payment), money)


def _whole(txn: Json, charge: Json) -> Money | None:
    """What was captured so far of a charge of which a balance transaction moves a part.

    None if the charge says that it may be captured in parts: then each part is a capture.
    """
    if books.is_in_parts(charge):
        return None
    captured = charge.get("amount_captured")
    is_exchanged = txn.get("exchange_rate") is not None
    if txn["reporting_category"] != "charge" or is_exchanged or captured is None:
        return None
    return Money.of(captured, charge["currency"]) if 0 < txn["amount"] < captured else None


def _adjustment(txn: Json, money: Money) -> tuple[Fact, ...]:
    """What stands for itself: a fee of Stripe's, or a correction."""
    if not money.amount:
        return ()
    account = f"{BOOK.platform}:fees" if txn["reporting_category"] in _FEES else "adjustments"
    lines = moved(money, debit=f"{BOOK.platform}:balance", credit=account)
    at = datetime.fromtimestamp(txn["created"], UTC)
    ids = {"balance_transaction": txn["id"]}
    return (BOOK.fact("adjustment", txn["id"], lines, occurred_at=at, external_ids=ids),)


def _told(kind: str, source: Json, at: datetime) -> tuple[Fact, ...]:
    """The fact of this kind that the source of a transaction shows; it happened at the transaction
    if the source does not say when. A capture ends its hold, whoever has made that. A dispute is in
    its stage, and lost, by now."""
    readers: dict[str, Callable[[Json], list[Fact]]] = {
        "capture": books.taken_facts,
        "capture_failed": books.failed_facts,
        "refund": books.refund_facts,
        "refund_failed": books.refund_facts,
        "dispute": books.dispute_facts,
        "dispute_reinstated": books.dispute_facts,
        "payout": books.payout_facts,
        "payout_reversal": books.payout_facts,
    }
    found = readers[kind](source)
    own = (fact for fact in found if fact.kind in (kind, *_HOLD))
    later = (fact for fact in found if fact.kind in _OUTCOME)
    return (*(replace(fact, occurred_at=fact.occurred_at or at) for fact in own), *later)
