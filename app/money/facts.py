"""The facts about customers' money that a platform reports, each as one entry of the ledger.

Invariant: a fact is true for ever once it has happened, and its entry depends on nothing but the
fact. So the facts may be booked in any order and as often as they are reported, and the books are
the same. What changes (a refund that fails after it succeeded) is another fact, with another key.

An amount is an integer of minor units (see app/money/currencies.py). In a line, a positive amount
is a debit and a negative one a credit; the lines of an entry add up to 0 in each currency.

    <platform>:authorized         what customers' banks hold for us; no money of ours
    <platform>:customers_holds    the other side of that
    <platform>:settling           what the platform has taken or given, until its balance shows it
    <platform>:balance            the balance that the platform keeps for us
    <platform>:fees               what the platform keeps of it
    <platform>:disputed           what disputes have taken that are not decided yet
    revenue, refunds, dispute_fees
    disputes                      what disputes have taken that are lost
    refunds_failed                what customers are still owed, since their bank refused a refund
    payouts                       what the platform has paid to our bank account
    exchange                      the two sides of an exchange from one currency to another
    adjustments                   what the platform has corrected
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.money.currencies import code_of

KINDS = (
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
)
SOURCES = ("step", "webhook", "reconciliation")
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised where an object of a platform lacks a field or has an odd value in one."""
MOST_AMOUNT = 2**62
"""An amount that the ledger can hold and still add up."""


_MOST_NAME = 500
"""Letters of a key. PostgreSQL cannot index a text of much more."""


@dataclass(frozen=True)
class Money:
    """An amount in minor units of a currency, whose code is in upper case."""

    amount: int
    currency: str

    @classmethod
    def of(cls, amount: int, currency: str) -> "Money":
        """The amount with the currency's code in upper case; raises ValueError if it is none, or if
        the amount is not an integer that the ledger can hold."""
        if type(amount) is not int:
            raise ValueError(f"an amount is an integer of minor units, not {amount!r}")
        if abs(amount) > MOST_AMOUNT:
            raise ValueError("the amount is more than the ledger can hold")
        return cls(amount, code_of(currency))

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)


@dataclass(frozen=True)
class Line:
    """One line of an entry: a debit of the account, or a credit if the amount is negative."""

    account: str
    money: Money


@dataclass(frozen=True)
class Fact:
    """One fact, and its entry in the ledger.

    `key` is `<platform>:<id of the object>:<kind>`. `of_key` is the key of the fact to which this
    one belongs, for example that of the capture whose fee this is. `external_ids` name the objects
    at the platform. `reference` is the mark of the step that caused the fact, where the platform's
    object has one (see `Call.reference`). `stage` is what the object has come to, by the platform's
    word, if the fact is no more than that: it moves no money, and has no lines.
    """

    key: str
    kind: str
    platform: str
    lines: tuple[Line, ...]
    occurred_at: datetime | None = None
    of_key: str | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    stage: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of fact")
        for name in (
            self.key,
            *filter(None, (self.of_key, self.stage)),
            *self.external_ids.values(),
        ):
            _check_name(name)
        if any(totals(self.lines).values()):
            raise ValueError(f"the lines of {self.key} do not add up to 0")


def key_of(platform: str, object_id: str, kind: str) -> str:
    """The key of a fact. Raises ValueError if the id of the object is none.

    >>> key_of("bank", "payment_1", "capture")
    'bank:payment_1:capture'
    """
    _check_name(object_id)
    return f"{platform}:{object_id}:{kind}"


def _check_name(name: Any) -> None:
    # What jsonb refuses (NUL, lone surrogates) cannot be printed either.
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        raise ValueError(f"{name!r} is no id of an object, nor a key made of one")


def totals(lines: Iterable[Line]) -> Counter[str]:
    """The sum of the lines in each currency."""
    found: Counter[str] = Counter()
    for line in lines:
        found[line.money.currency] += line.money.amount
    return found


def moved(money: Money, *, debit: str, credit: str) -> tuple[Line, ...]:
    """The two lines that move an amount from the account `credit` to the account `debit`."""
    return (Line(debit, money), Line(credit, -money))


def joined(*groups: tuple[Line, ...]) -> tuple[Line, ...]:
    """The lines of several movements, as one line for each account and currency."""
    found: dict[tuple[str, str], int] = {}
    for line in (line for group in groups for line in group):
        place = line.account, line.money.currency
        found[place] = found.get(place, 0) + line.money.amount
    return tuple(
        Line(account, Money(amount, currency))
        for (account, currency), amount in sorted(found.items())
        if amount
    )


@dataclass(frozen=True)
class Book:
    """Makes the facts of one platform. Each method takes the id of the object that the fact is
    about, and what all facts may have in common: `occurred_at`, `external_ids`, `reference`."""

    platform: str

    def _own(self, account: str) -> str:
        return f"{self.platform}:{account}"

    @property
    def settling(self) -> str:
        """The account of what the platform's balance does not show yet."""
        return self._own("settling")

    @property
    def balance(self) -> str:
        """The account of what the platform's balance shows."""
        return self._own("balance")

    def fact(
        self,
        kind: str,
        object_id: str,
        lines: tuple[Line, ...],
        *,
        of_key: str | None = None,
        occurred_at: datetime | None = None,
        external_ids: Mapping[str, str] | None = None,
        reference: str | None = None,
        stage: str | None = None,
    ) -> Fact:
        """A fact with these lines. An object comes to many stages, each of which is a fact."""
        return Fact(
            key_of(self.platform, object_id, kind if stage is None else f"{kind}_{stage}"),
            kind,
            self.platform,
            joined(lines),
            occurred_at,
            of_key,
            dict(external_ids or {}),
            reference,
            stage,
        )

    def held(self, money: Money) -> tuple[Line, ...]:
        """A customer's bank holds the amount for us."""
        return moved(money, debit=self._own("authorized"), credit=self._own("customers_holds"))

    def captured(self, money: Money) -> tuple[Line, ...]:
        """The amount is taken from the customer. The end of its hold is a fact of its own."""
        return moved(money, debit=self.settling, credit="revenue")

    def given_back(self, money: Money, account: str) -> tuple[Line, ...]:
        """The platform takes the amount from us, for the account."""
        return moved(money, debit=account, credit=self.settling)

    def disputed(self, money: Money) -> tuple[Line, ...]:
        """The platform takes the amount until a dispute is decided; negative if it gives it back.

        It is not a loss yet: so the account shows what is still at risk.
        """
        return self.given_back(money, self._own("disputed"))

    def lost(self, money: Money) -> tuple[Line, ...]:
        """What a dispute has taken is lost."""
        return moved(money, debit="disputes", credit=self._own("disputed"))

    def settled(self, money: Money, of: Money | None) -> tuple[Line, ...]:
        """The platform's balance shows an amount (before fees; negative if it is less by it).

        `of` is the amount that was booked before, if the platform has exchanged it for another
        currency.
        """
        of = of or money
        shown = moved(money, debit=self._own("balance"), credit="exchange")
        return joined(shown, moved(of, debit="exchange", credit=self.settling))

    def paid(self, fee: Money, account: str | None = None) -> tuple[Line, ...]:
        """The platform keeps a fee; negative if it gives a fee back."""
        return moved(fee, debit=account or self._own("fees"), credit=self._own("balance"))
