"""Customers' money: balances, entries of the ledger, and unit economics.

Amounts are integers of minor units. `decimals` says how many minor units a unit of the currency
has (see app/money/currencies.py): 49.00 EUR are the amount 4900 with 2 decimals.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.money.facts import KINDS
from app.queries.money import GROUPS
from web.schemas.attention import Difference
from web.schemas.parts import Body, Instant, Query, Reason, TypeName

Kind = Literal[
    "authorization",
    "authorization_released",
    "capture",
    "capture_failed",
    "refund",
    "refund_failed",
    "dispute",
    "dispute_stage",
    "dispute_lost",
    "dispute_recovered",
    "dispute_reinstated",
    "payout",
    "payout_reversal",
    "settlement",
    "exchange",
    "fee",
    "dispute_fee",
    "adjustment",
]
assert Kind.__args__ == KINDS  # type: ignore[attr-defined] # Literal's own
Group = Literal["workflow", "user", "definition", "version", "model"]
assert set(Group.__args__) == set(GROUPS)  # type: ignore[attr-defined] # Literal's own


class BalancesQuery(Query):
    """Which entries count."""

    workflow_id: UUID | None = Field(default=None, description="Only of this workflow.")
    type: TypeName | None = Field(default=None, description="Only of this type of workflow.")
    since: Instant | None = Field(default=None, description="Only facts from this time on.")
    until: Instant | None = Field(default=None, description="Only facts before this time.")


class Balance(BaseModel):
    """The balance of an account in a currency: positive is a debit, negative a credit."""

    account: str = Field(examples=["revenue"])
    currency: str = Field(examples=["EUR"])
    amount: int
    decimals: int


class Balances(BaseModel):
    """The accounts that are not 0. In each currency they add up to 0."""

    items: list[Balance]


class EntriesQuery(BalancesQuery):
    """Which page of the entries."""

    kind: Kind | None = Field(default=None, description="Only entries of this kind.")
    before: UUID | None = Field(default=None, description="`next_before` of the previous page.")
    limit: int = Field(default=50, ge=1, le=500)


class Entry(BaseModel):
    """One fact that a platform has reported, with the lines that it adds to the accounts.

    `source` has booked it first: a step, a webhook, or the reconciliation with the platform. `of`
    is the fact to which this one belongs, such as the capture whose fee this is. `stage` is what a
    dispute has come to, by the platform's word; such an entry moves no money and has no lines.
    """

    id: UUID
    kind: Kind
    platform: str
    fact: str = Field(description="`<platform>:<id of the object>:<kind>`")
    of: str | None
    workflow_id: UUID | None
    step: str | None
    type: str | None
    version: int | None
    occurred_at: datetime
    recorded_at: datetime
    source: Literal["step", "webhook", "reconciliation"]
    external_ids: dict[str, str]
    stage: str | None
    lines: list[Balance]


class EntryPage(BaseModel):
    """Entries, the last booked first."""

    items: list[Entry]
    next_before: UUID | None


class EconomicsQuery(BalancesQuery):
    """By what workflows are grouped, and which count.

    `since` and `until` limit when money moved and when the workflows were created. By `model`, the
    cost is that of the model alone, and the money that of all workflows that have used it, so some
    may be shown for several models; archived workflows are not counted.
    """

    by: Group = "definition"
    limit: int = Field(default=100, ge=1, le=500)


class Earned(BaseModel):
    """Customers' money in one currency, in minor units.

    `net` is the revenue less refunds, disputes and the fees of the payment platform. `disputes` are
    those that are lost; `disputed` is what disputes have taken that are not decided yet. Fees are
    in the currency in which the platform pays out, so they may stand in another item. `refunds` are
    those that were paid; `refunds_failed` is what the customers' banks have refused, which is still
    owed unless it was paid otherwise.
    """

    currency: str
    decimals: int
    revenue: int
    refunds: int
    refunds_failed: int
    disputed: int
    disputes: int
    fees: int
    net: int
    net_micro_usd: int | None = Field(
        description="`net` in micro-USD, at the average rate at which the payment platform has"
        " exchanged this money with USD; null if no exchange with USD is booked for it."
    )


class Economy(BaseModel):
    """What the workflows of a group have earned of customers, and cost at the platforms.

    `margin_micro_usd` is what was earned less the cost; null if a part of the money cannot be taken
    in USD, and then `margin_unknown` says why. No rate is used but those of the payment platform's
    own exchanges. `key` is null for money that belongs to no workflow. `owner` is the user's
    address, if grouped by user.
    """

    key: str | None
    owner: str | None
    workflows: int
    cost_micro_usd: int
    margin_micro_usd: int | None
    margin_unknown: str | None
    money: list[Earned] = Field(description="One item a currency; they are never added together.")


class Economics(BaseModel):
    """The groups, the most expensive first. `is_complete`: there are no more."""

    by: Group
    items: list[Economy]
    is_complete: bool


class DifferencesQuery(Query):
    """Which page of the differences."""

    state: Literal["open", "explained"] = "open"
    before: UUID | None = Field(default=None, description="`next_before` of the previous page.")
    limit: int = Field(default=50, ge=1, le=500)


class DifferencePage(BaseModel):
    """Differences, the last found first."""

    items: list[Difference]
    next_before: UUID | None


class DifferencePath(BaseModel):
    """A difference."""

    difference_id: UUID


class ExplainDifference(Body):
    """Why the two sides differ."""

    note: Reason


class Explained(BaseModel):
    """The difference that is explained."""

    id: UUID
