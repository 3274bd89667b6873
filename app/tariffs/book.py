"""Finds the price of what was used, and estimates what has none. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal

from app.tariffs.rows import ANY_TIER, End, Price, Tariff

WARNED_FOR = timedelta(days=60)
_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


@dataclass(frozen=True)
class Cost:
    """Micro-USD, rounded up, and what of it is an estimate: (item, unit), or (tier, "tier")."""

    micro_usd: int
    estimated: tuple[tuple[str, str], ...] = ()


class PriceBook:
    """The prices of one platform. Of two for the same, the one that starts later counts.

    So a shipped row that starts after an operator's own is the vendor's later change, and counts
    from then on. Of two that start on the same day, the later row of the two lists counts.
    """

    def __init__(self, shipped: Tariff, own: Iterable[Price] = ()) -> None:
        self._tiers = shipped.tiers
        self._ends = {end.model: end for end in shipped.ends}
        self.prices = [*shipped.prices, *own]

    def cost(
        self,
        item: str,
        used: Mapping[str, int | float],
        on: date,
        *,
        tier: str = ANY_TIER,
        context: int = 0,
    ) -> Cost:
        """What so many of each unit cost on a day.

        A snapshot of a model (gpt-x-2026-01-31) costs what the model costs, unless it has a price
        of its own. A price of 0 is a price. What has none is counted at the dearest price that the
        platform has for the unit, and named in the answer. So is a negative count, which says
        nothing but how large it is: nothing that was used makes a cost smaller.
        """
        total, estimated = Decimal(0), []
        factor = self._factor(tier)
        if factor is None:
            factor = max((self._tiers or {}).values(), default=Decimal(1))
            estimated.append((tier, "tier"))
        for unit, count in used.items():
            if not count:
                continue
            found = self._find(item, unit, on, tier, context) if count > 0 else None
            if found is None:
                estimated.append((item, unit))
                total += self._dearest(unit, on) * factor * abs(Decimal(count))
            else:
                own = Decimal(1) if found.tier else factor
                total += found.micro_usd * own * Decimal(count)
        return Cost(int(total.to_integral_value(ROUND_CEILING)), tuple(estimated))

    def end(self, model: str) -> End | None:
        """The end of a model, if its vendor has announced one."""
        return self._ends.get(model) or self._ends.get(_SNAPSHOT.sub("", model))

    def has_ended(self, model: str, on: date) -> End | None:
        """The end of a model, if it has ended by that day."""
        end = self.end(model)
        return end if end is not None and end.on <= on else None

    def warning(self, model: str, on: date) -> str | None:
        """What to tell of a model that ends within WARNED_FOR, or has ended."""
        end = self.end(model)
        if end is None or end.on - on > WARNED_FOR:
            return None
        instead = f"; use {end.successor}" if end.successor else ""
        verb = "has ended" if end.on <= on else "ends"
        return f"the model {model} {verb} on {end.on}{instead}"

    def _factor(self, tier: str) -> Decimal | None:
        if tier == ANY_TIER or self._tiers is None:
            return Decimal(1)
        return self._tiers.get(tier)

    def _find(self, item: str, unit: str, on: date, tier: str, context: int) -> Price | None:
        for name in dict.fromkeys((item, _SNAPSHOT.sub("", item))):
            for wanted in dict.fromkeys((tier, ANY_TIER)):
                rows = [
                    each
                    for each in self.prices
                    if (each.item, each.unit, each.tier) == (name, unit, wanted)
                    and each.starts_on <= on
                    and (context > each.context_over or not each.context_over)
                ]
                if rows:
                    # `max` takes the first of equal ones: the later row of the lists must win.
                    return max(reversed(rows), key=lambda row: (row.context_over, row.starts_on))
        return None

    def _dearest(self, unit: str, on: date) -> Decimal:
        known = [each.micro_usd for each in self.prices if each.unit == unit]
        return max(known, default=Decimal(0))
