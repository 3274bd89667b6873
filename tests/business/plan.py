"""What the customers of a subscription business do, made of a seed alone. Pure.

Invariant: the same seed gives the same customers and the same days. Fates are dealt out in turn, so
that a business of ten customers has each of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

CURRENCIES = ("usd", "eur", "gbp", "jpy")
RATES = "eur=1.08 jpy=0.0068"
"""Stripe exchanges these for dollars. The others are settled in themselves."""
PRICES = {"usd": (900, 2900), "eur": (1000, 3050), "gbp": (800, 2450), "jpy": (980, 3400)}
"""The small plan and the large one, in minor units."""
_SHORT_DAYS = 10
_LOST, _DOUBLED, _LATE = 0.02, 0.06, 0.06


class Fate(StrEnum):
    """What happens to a customer beside renewals."""

    PLAIN = "plain"
    UPGRADES = "upgrades"
    CARD_FAILS = "card fails"
    REFUNDED = "refunded"
    REFUND_FAILS = "refund fails later"
    DISPUTE_WON = "dispute won"
    DISPUTE_LOST = "dispute lost"
    CANCELS = "cancels"


CARDS = {
    Fate.REFUND_FAILS: "pm_card_refundFail",
    Fate.DISPUTE_WON: "pm_card_createDispute",
    Fate.DISPUTE_LOST: "pm_card_createDispute",
}
"""The cards of those who do not pay with an ordinary one."""
_DEAL = (
    Fate.UPGRADES,
    Fate.CARD_FAILS,
    Fate.REFUNDED,
    Fate.REFUND_FAILS,
    Fate.DISPUTE_WON,
    Fate.DISPUTE_LOST,
    Fate.CANCELS,
    Fate.PLAIN,
    Fate.UPGRADES,
    Fate.PLAIN,
)


class Act(StrEnum):
    """Something that the business or a customer does at Stripe."""

    JOIN = "join"
    UPGRADE = "upgrade"
    BREAK_CARD = "break card"
    MEND_CARD = "mend card"
    REFUND = "refund"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Customer:
    """A customer; `joins_on` and `acts_on` are days of the run, counted from 0."""

    number: int
    fate: Fate
    currency: str
    interval: str
    joins_on: int
    acts_on: int

    @property
    def card(self) -> str:
        """The test card with which the customer pays."""
        return CARDS.get(self.fate, "pm_card_visa")

    def acts(self, days: int) -> Iterator[tuple[int, Act]]:
        """What is done when."""
        yield self.joins_on, Act.JOIN
        match self.fate:
            case Fate.UPGRADES:
                yield self.acts_on, Act.UPGRADE
            case Fate.CARD_FAILS:
                yield self.acts_on, Act.BREAK_CARD
                yield min(days - 1, self.acts_on + max(2, days // 6)), Act.MEND_CARD
            case Fate.REFUNDED | Fate.REFUND_FAILS:
                yield self.acts_on, Act.REFUND
            case Fate.CANCELS:
                yield self.acts_on, Act.CANCEL


@dataclass(frozen=True)
class Trouble:
    """What happens on a day to the webhooks about customers: numbers of the customers."""

    lost: tuple[int, ...]
    doubled: tuple[int, ...]
    late: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """All customers, and what is done on each day."""

    days: int
    customers: tuple[Customer, ...]
    acts: tuple[tuple[tuple[int, Act], ...], ...]
    troubles: tuple[Trouble, ...]


def make_plan(seed: int, customers: int, days: int) -> Plan:
    """A plan of so many customers and days."""
    random = Random(f"business {seed}")
    made = tuple(_customer(random, number, days) for number in range(customers))
    acts: list[list[tuple[int, Act]]] = [[] for _ in range(days)]
    for each in made:
        for day, act in each.acts(days):
            acts[day].append((each.number, act))
    troubles = tuple(_trouble(random, customers) for _ in range(days))
    return Plan(days, made, tuple(tuple(each) for each in acts), troubles)


def _customer(random: Random, number: int, days: int) -> Customer:
    intervals = ("day",) if days < _SHORT_DAYS else ("week", "week", "week", "month")
    joins_on = random.randrange(max(1, days // 3))
    return Customer(
        number,
        _DEAL[number % len(_DEAL)],
        CURRENCIES[(number // len(_DEAL) + number) % len(CURRENCIES)],
        random.choice(intervals),
        joins_on,
        random.randint(joins_on + 1, max(joins_on + 1, days - 3)),
    )


def _trouble(random: Random, customers: int) -> Trouble:
    def some(share: float) -> tuple[int, ...]:
        return tuple(random.sample(range(customers), max(1, round(share * customers))))

    return Trouble(some(_LOST), some(_DOUBLED), some(_LATE))
