"""Compares what a platform states of its balance with what is booked.

A movement is one change of the balance that a platform keeps for us. It settles a fact that was
booked when a step or a webhook told it (a capture), or stands for itself (a fee of the month).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.money.facts import Fact, Money, key_of

DIFFERENCES = ("missing_here", "missing_there", "other_amount", "unreadable", "balance")
_ROUNDING = 1
_RATE_PRECISION = 1e-5
"""A rate is stated with about six digits."""


@dataclass(frozen=True)
class Movement:
    """One movement on a platform's balance.

    `money` is the amount before fees, in the settlement currency; it is negative if the balance is
    less by it. `settles` is the key of the fact that it settles, None if it stands for itself.
    `rate` is that of the amounts, in minor units: the presentment amount times the rate is that of
    `money`. None if nothing was exchanged. `part` is what it moves of the fact, in the presentment
    currency, if several movements settle the fact; None if this one settles the whole. `whole` is
    what was taken for the fact so far, if that grows with further captures. `own` are the facts
    that only the statement tells, such as fees. `told` are those by which the movement is booked if
    nobody has told the fact that it settles. `is_told`: a step or a webhook tells each such fact,
    so that it is a difference if none has.
    """

    id: str
    platform: str
    at: datetime
    money: Money
    settles: str | None = None
    rate: float | None = None
    part: Money | None = None
    whole: Money | None = None
    told: tuple[Fact, ...] = ()
    own: tuple[Fact, ...] = ()
    is_told: bool = False


@dataclass(frozen=True)
class Page:
    """A part of a statement. `following` is the cursor of the next part; None: this is the last.

    `unreadable` are the ids of the movements in it that cannot be read.
    """

    movements: Sequence[Movement]
    following: str | None
    unreadable: Sequence[str] = ()


@dataclass(frozen=True)
class Difference:
    """Where the books and a platform's statement differ. `about` is the key of the fact.

    `ours` is what is booked, `theirs` what the platform states; None where one of them has nothing.
    """

    kind: str
    about: str
    platform: str
    ours: Money | None
    theirs: Money | None
    external_id: str | None = None


def unreadable(platform: str, movement_id: str) -> Difference:
    """The difference that a movement makes which cannot be read, and so is not booked."""
    about = key_of(platform, movement_id, "movement")
    return Difference("unreadable", about, platform, None, None, movement_id)


def difference_of(movement: Movement, booked: Money | None) -> Difference | None:
    """Where a movement differs from what is booked for the fact that it settles, if it does.

    `booked` is the amount on the account of what is not settled yet, in the presentment currency.
    """
    if movement.settles is None:
        return None
    if booked is None:
        if movement.told and not movement.is_told:
            return None
        kind = "missing_here"
    elif is_same(movement.money, movement.part or booked, movement.rate):
        return None
    else:
        kind = "other_amount"
    return Difference(
        kind, movement.settles, movement.platform, booked, movement.money, movement.id
    )


def is_same(settled: Money, booked: Money, rate: float | None) -> bool:
    """Whether an amount of the settlement currency is the booked one, exchanged at the rate.

    The rate is one of amounts, in minor units: that of a currency without decimals into one with
    two is a hundred times the rate of exchange.

    >>> is_same(Money(1080, "USD"), Money(1000, "EUR"), 1.08)
    True
    >>> is_same(Money(1080, "USD"), Money(1000, "EUR"), None)
    False
    >>> is_same(Money(340, "USD"), Money(500, "JPY"), 0.68)
    True
    >>> is_same(Money(340, "USD"), Money(500, "JPY"), 0.0068)
    False
    """
    if rate is None:
        return settled == booked
    exact = booked.amount * rate
    return abs(settled.amount - exact) <= _ROUNDING + abs(exact) * _RATE_PRECISION
