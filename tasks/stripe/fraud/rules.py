"""The rules by which a payment is held for review, as text and as values. Pure.

    card 3/1h               more than 3 payments with the card in an hour
    email 2000eur/1d        with the e-mail address, more than 20.00 EUR in a day
    amount 50000eur         a payment of more than 500.00 EUR

Amounts are in the currency's minor units, and count payments in that currency alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from app.money.currencies import shown
from app.sightings import Kind, Tally

LONGEST_SECONDS = 30 * 86400.0
MOST_RULES = 50
DEFAULT = "card 3/1h, card 6/1d, email 4/1h, email 10/1d, address 6/1h, address 15/1d"
"""A customer who pays again after a mistake stays below; who tries out cards does not."""
_RULE = re.compile(
    r"(?P<kind>card|email|address) (?P<most>\d{1,12})(?P<currency>[a-z]{3})?"
    r"/(?P<length>\d{1,4})(?P<unit>[mhd])"
    r"|amount (?P<amount>\d{1,12})(?P<of>[a-z]{3})"
)
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_NAMES: dict[str, str] = {
    "card": "this card",
    "email": "this e-mail address",
    "address": "this postal address",
}


@dataclass(frozen=True)
class Rule:
    """More than `most` payments that share `kind` in `seconds`; of more than `most` minor units, if
    there is a `currency`. Of kind `amount`: a payment of more than that."""

    text: str
    kind: Literal["card", "email", "address", "amount"]
    most: int
    currency: str | None
    seconds: float


def parsed(text: str) -> tuple[Rule, ...]:
    """The rules of a text, which commas part. Raises ValueError with the part that is wrong.

    >>> [(rule.kind, rule.most, rule.currency, rule.seconds) for rule in parsed("card 3/1h")]
    [('card', 3, None, 3600.0)]
    >>> parsed("")
    ()
    """
    parts = [" ".join(part.split()).lower() for part in text.split(",") if part.strip()]
    if len(parts) > MOST_RULES:
        raise ValueError(f"has {len(parts)} rules, and may have {MOST_RULES}")
    return tuple(map(_rule, parts))


def _rule(part: str) -> Rule:
    found = _RULE.fullmatch(part)
    if found is None:
        raise ValueError(
            f"{part!r} is no rule such as `card 3/1h`, `email 2000eur/1d` or `amount 50000eur`"
        )
    if found["amount"]:
        return Rule(part, "amount", int(found["amount"]), found["of"], 0.0)
    seconds = int(found["length"]) * _UNITS[found["unit"]]
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f"{part!r} looks back for more than 30 days, or not at all")
    return Rule(part, cast(Kind, found["kind"]), int(found["most"]), found["currency"], seconds)


def counted(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules for which payments are counted."""
    return tuple(rule for rule in rules if rule.kind != "amount")


def window(rules: Sequence[Rule]) -> float:
    """For how many seconds the rules look back."""
    return max((rule.seconds for rule in rules), default=0.0)


def broken(
    rules: Sequence[Rule], tallies: Sequence[Tally], amount: int, currency: str
) -> list[str]:
    """Why a payment is held, for people: one line for each rule that it breaks.

    `tallies` are those of `counted(rules)`, in their order.

    >>> broken(parsed("card 3/1h"), [Tally(4, 4000)], 1000, "eur")
    ['4 payments with this card in 1h; more than 3 are reviewed']
    >>> broken(parsed("card 3/1h"), [Tally(3, 3000)], 1000, "eur")
    []
    """
    found = []
    for rule, tally in zip(counted(rules), tallies, strict=True):
        within = f"with {_NAMES[rule.kind]} in {rule.text.rpartition('/')[2]}"
        if rule.currency is None and tally.number > rule.most:
            found.append(f"{tally.number} payments {within}; more than {rule.most} are reviewed")
        elif rule.currency == currency and tally.total > rule.most:
            total, most = shown(tally.total, currency), shown(rule.most, currency)
            found.append(f"{total} {within}; more than {most} are reviewed")
    for rule in rules:
        if rule.kind == "amount" and rule.currency == currency and amount > rule.most:
            most = shown(rule.most, currency)
            found.append(f"{shown(amount, currency)} at once; more than {most} are reviewed")
    return found
