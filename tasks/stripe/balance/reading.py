"""Read the balance, and payouts with what they consist of: the actions change nothing.

They are about the whole Stripe account, which all organisations of the installation share.
https://docs.stripe.com/payouts/reconciliation
"""

from typing import Literal

from pydantic import Field, field_validator

from app.engine.call import Call
from app.platform import ActionInput, ActionOutput, Effect, Json, action
from tasks.stripe.balance import calls
from tasks.stripe.balance.transactions import (
    MOST_LISTED,
    TRANSACTION,
    Transaction,
    between,
    transactions_of,
    with_offset,
)
from tasks.stripe.wording import given as having
from tasks.stripe.wording import picked, time_of


class ReadBalanceInput(ActionInput):
    """The balance has no parameters."""


@action("stripe.read_balance", input=ReadBalanceInput, effect=Effect.NONE)
def read_balance(call: Call, given: ReadBalanceInput) -> Json:
    """Read the balance: {available, pending}, each a list of {amount, currency}."""
    seen = calls.read_balance()
    return {name: [_money(each) for each in seen[name]] for name in Balance.model_fields}


class Sum(ActionOutput):
    """An amount in minor units of the currency."""

    amount: int
    currency: str


class Balance(ActionOutput):
    """What can be paid out, and what will become available."""

    available: list[Sum]
    pending: list[Sum]


read_balance.describe(output=Balance, example={})


class Payout(ActionOutput):
    """A payout, in minor units of the currency. `reconciliation_status` is `completed` once Stripe
    says what an automatic payout consists of; of a payout by hand it is `not_applicable`."""

    payout: str
    amount: int
    currency: str
    status: str
    automatic: bool
    method: str
    created: str
    arrival_date: str
    reconciliation_status: str
    failure_code: str | None
    failure_message: str | None


class ListPayoutsInput(ActionInput):
    """Which payouts are listed, the newest first: created from `since` to before `until` (times
    with their offsets), with this status, after the payout `after`."""

    since: str | None = None
    until: str | None = None
    status: Literal["paid", "pending", "in_transit", "canceled", "failed"] | None = None
    after: str | None = Field(default=None, pattern=r"^po_\w+$", max_length=255)
    limit: int = Field(default=MOST_LISTED, ge=1, le=MOST_LISTED)

    _are_times = field_validator("since", "until")(with_offset)


@action("stripe.list_payouts", input=ListPayoutsInput, effect=Effect.NONE)
def list_payouts(call: Call, given: ListPayoutsInput) -> Json:
    """List payouts: {payouts, next}. `next` is the `after` of the next page, null at the end."""
    params = having(
        {
            "created": between(given.since, given.until),
            "status": given.status,
            "starting_after": given.after,
            "limit": given.limit,
        }
    )
    page = calls.list_payouts(params)
    found = [_payout(each) for each in page["data"]]
    return {"payouts": found, "next": found[-1]["payout"] if page["has_more"] else None}


class Payouts(ActionOutput):
    """A page of payouts."""

    payouts: list[Payout]
    next: str | None


list_payouts.describe(
    output=Payouts, example={"since": "2026-11-01T00:00:00Z", "status": "paid", "limit": 20}
)


class ReadPayoutInput(ActionInput):
    """The payout, and the balance transaction after which its transactions are listed."""

    payout: str = Field(pattern=r"^po_\w+$", max_length=255)
    after: str | None = Field(default=None, pattern=TRANSACTION, max_length=255)
    limit: int = Field(default=MOST_LISTED, ge=1, le=MOST_LISTED)


@action("stripe.read_payout", input=ReadPayoutInput, effect=Effect.NONE)
def read_payout(call: Call, given: ReadPayoutInput) -> Json:
    """Read a payout with a page of its balance transactions, among them that of the payout itself.

    Only of an automatic payout Stripe says what it consists of. Adds {transactions, next}: `next`
    is the `after` of the next page, null at the end.
    """
    seen = calls.read_payout(given.payout)
    params = {"payout": given.payout, "starting_after": given.after, "limit": given.limit}
    # Stripe refuses to list by a payout that was made by hand.
    empty: Json = {"data": [], "has_more": False}
    page = calls.list_transactions(having(params)) if seen["automatic"] else empty
    return _payout(seen) | transactions_of(page)


class PayoutOfTransactions(Payout):
    """A payout with a page of what it consists of."""

    transactions: list[Transaction]
    next: str | None


read_payout.describe(output=PayoutOfTransactions, example={"payout": "po_1OqXyz"})


def _money(each: Json) -> Json:
    return picked(each, Sum.model_fields)


def _payout(seen: Json) -> Json:
    times = {name: time_of(seen[name]) for name in ("created", "arrival_date")}
    return picked(seen, Payout.model_fields) | times | {"payout": seen["id"]}
