"""List balance transactions: each movement of money in the Stripe account, with Stripe's fee.

The action changes nothing. It is about the whole account, which all organisations of the
installation share. https://docs.stripe.com/api/balance_transactions/list
"""

from datetime import datetime

from pydantic import Field, field_validator

from app.engine.call import Call
from app.platform import ActionInput, ActionOutput, Effect, Json, action
from tasks.stripe.balance import calls
from tasks.stripe.wording import given as having
from tasks.stripe.wording import id_of, picked, time_of

MOST_LISTED = 100
TRANSACTION = r"^txn_\w+$"


def with_offset(value: str | None) -> str | None:
    """A time with its offset. Raises ValueError for any other text."""
    if value is not None and datetime.fromisoformat(value).tzinfo is None:
        raise ValueError("must have an offset from UTC, such as Z or +01:00")
    return value


def between(since: str | None, until: str | None) -> Json | None:
    """Stripe's filter `created`, from one time to before the other; None if neither is given.

    >>> between("1970-01-01T00:01:00Z", None)
    {'gte': 60}
    """
    found = having({"gte": _seconds(since), "lt": _seconds(until)})
    return found or None


class ListTransactionsInput(ActionInput):
    """Which balance transactions are listed, the newest first: created from `since` to before
    `until` (times with their offsets), of the `type` (such as `charge`, `refund`, `payout`,
    `adjustment` or `stripe_fee`), of the `source` (such as a charge, a refund or a dispute), in the
    settlement `currency`, paid out by an automatic `payout`, after the transaction `after`."""

    since: str | None = None
    until: str | None = None
    type: str | None = Field(default=None, pattern=r"^[a-z_]+$", max_length=100)
    source: str | None = Field(default=None, pattern=r"^[A-Za-z]+_\w+$", max_length=255)
    payout: str | None = Field(default=None, pattern=r"^po_\w+$", max_length=255)
    currency: str | None = Field(default=None, pattern=r"^[A-Za-z]{3}$")
    after: str | None = Field(default=None, pattern=TRANSACTION, max_length=255)
    limit: int = Field(default=MOST_LISTED, ge=1, le=MOST_LISTED)

    _are_times = field_validator("since", "until")(with_offset)


@action("stripe.list_balance_transactions", input=ListTransactionsInput, effect=Effect.NONE)
def list_balance_transactions(call: Call, given: ListTransactionsInput) -> Json:
    """List balance transactions: {transactions, next}. `next` is the `after` of the next page, null
    at the end. Raises Permanent if the payout was made by hand, or if `after` is unknown."""
    params = having(
        {
            "created": between(given.since, given.until),
            "type": given.type,
            "source": given.source,
            "payout": given.payout,
            "currency": given.currency and given.currency.lower(),
            "starting_after": given.after,
            "limit": given.limit,
        }
    )
    return transactions_of(calls.list_transactions(params))


class Transaction(ActionOutput):
    """A balance transaction: net = amount - fee, in minor units of the settlement currency.

    `reporting_category` groups the types as Stripe's reports do.
    """

    balance_transaction: str
    type: str
    reporting_category: str
    amount: int
    fee: int
    net: int
    currency: str
    source: str | None
    created: str
    available_on: str


class Transactions(ActionOutput):
    """A page of balance transactions."""

    transactions: list[Transaction]
    next: str | None


list_balance_transactions.describe(
    output=Transactions, example={"since": "2026-11-01T00:00:00Z", "type": "charge", "limit": 50}
)


def transactions_of(page: Json) -> Json:
    """A page of Stripe's list: {transactions, next}."""
    found = [_transaction(each) for each in page["data"]]
    following = found[-1]["balance_transaction"] if page["has_more"] else None
    return {"transactions": found, "next": following}


def _transaction(txn: Json) -> Json:
    times = {name: time_of(txn[name]) for name in ("created", "available_on")}
    own = {"balance_transaction": txn["id"], "source": id_of(txn.get("source"))}
    return picked(txn, Transaction.model_fields) | times | own


def _seconds(value: str | None) -> int | None:
    return None if value is None else int(datetime.fromisoformat(value).timestamp())
