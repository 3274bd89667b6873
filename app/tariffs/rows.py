"""Prices as dated rows, and the models that end. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

UNITS = {
    "input_tokens": 1_000_000,
    "cached_tokens": 1_000_000,
    "cache_write_tokens": 1_000_000,
    "output_tokens": 1_000_000,
    "image_tokens": 1_000_000,
    "image_output_tokens": 1_000_000,
    "audio_tokens": 1_000_000,
    "audio_output_tokens": 1_000_000,
    "characters": 1_000_000,
    "seconds": 1,
    "pictures": 1,
}
"""What is counted, and for how many of it a price is. Tokens of pictures and of sound that are read
or made are counted apart, where they have a price of their own."""
ANY_TIER = ""


class InvalidPrice(ValueError):
    """A price is malformed. The message says what is wrong."""


@dataclass(frozen=True)
class Price:
    """What `UNITS[unit]` of a unit cost from a day on, in USD.

    `item` is a model, or a kind of hardware. `tier` is the level of service for which the price
    holds; ANY_TIER: for all, times the tier's factor. `context_over`: it holds for requests whose
    context has more tokens than that. `source` says where the price was read.
    """

    platform: str
    item: str
    unit: str
    usd: Decimal
    starts_on: date
    tier: str = ANY_TIER
    context_over: int = 0
    source: str = ""

    @property
    def micro_usd(self) -> Decimal:
        """Micro-USD for one of the unit."""
        return self.usd * 1_000_000 / UNITS[self.unit]


@dataclass(frozen=True)
class End:
    """A model that its vendor ends on a day, and what takes its place."""

    model: str
    on: date
    successor: str | None = None


@dataclass(frozen=True)
class Tariff:
    """What ships for one platform: its prices, the factors of its tiers, and its ending models."""

    prices: tuple[Price, ...] = ()
    tiers: Mapping[str, Decimal] | None = None
    ends: tuple[End, ...] = ()


def price(
    platform: str,
    item: str,
    unit: str,
    usd: str,
    starts_on: str,
    *,
    tier: str = ANY_TIER,
    context_over: int = 0,
    source: str = "",
) -> Price:
    """A price from texts: `usd` is a decimal number, `starts_on` a day such as 2026-11-30.

    Raises InvalidPrice.
    """
    if unit not in UNITS:
        raise InvalidPrice(f"there is no unit {unit!r}; there are {', '.join(UNITS)}")
    try:
        amount, day = Decimal(usd), date.fromisoformat(starts_on)
    except InvalidOperation as err:
        raise InvalidPrice(f"{usd!r} is no decimal number of USD") from err
    except ValueError as err:
        raise InvalidPrice(f"{starts_on!r} is no day such as 2026-11-30") from err
    if not amount.is_finite() or not 0 <= amount < 1_000_000:
        raise InvalidPrice(f"{usd} USD is no price: it must be 0 or more, and below a million")
    if context_over < 0:
        raise InvalidPrice("a context has no negative number of tokens")
    if not item:
        raise InvalidPrice("a price needs the name of a model or of hardware")
    return Price(platform, item, unit, amount, day, tier, context_over, source)


def tariff(platform: str, said: Mapping[str, Any]) -> Tariff:
    """The tariff of a platform from the JSON that ships with it. Raises InvalidPrice."""
    source = str(said.get("source", ""))
    return Tariff(
        tuple(_prices(platform, said.get("prices", ()), source)),
        {name: _factor(name, each) for name, each in said.get("tiers", {}).items()} or None,
        tuple(
            End(each["model"], date.fromisoformat(each["on"]), each.get("successor"))
            for each in said.get("ends", ())
        ),
    )


def _factor(tier: str, said: str) -> Decimal:
    try:
        factor = Decimal(said)
    except InvalidOperation as err:
        raise InvalidPrice(f"{said!r} is no factor of the tier {tier}") from err
    if not factor.is_finite() or factor < 0:
        raise InvalidPrice(f"{said} is no factor of the tier {tier}: it must be 0 or more")
    return factor


def _prices(platform: str, said: Iterable[Mapping[str, Any]], source: str) -> Iterable[Price]:
    for each in said:
        for unit, usd in each["usd"].items():
            yield price(
                platform,
                each["item"],
                unit,
                usd,
                each["from"],
                tier=each.get("tier", ANY_TIER),
                context_over=each.get("context_over", 0),
                source=each.get("source", source),
            )
