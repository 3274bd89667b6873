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
    """Micro-USD, rounded up, and what of it is an estimate: (item, unit), or (tier, "tier").

    `unknown` are those units of `estimated` that have no price anywhere: they are not in the sum.
    """

    micro_usd: int
    estimated: tuple[tuple[str, str], ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Use:
    """What was used: of what, on which day, at which level of service, with how much context."""

    item: str
    on: date
    tier: str
    context: int


class PriceBook:
    """The prices of one platform. Of two for the same, the one that starts later counts.

    So a shipped row that starts after an operator's own is the vendor's later change, and counts
    from then on. Of two that start on the same day, the later row of the two lists counts.

    `elsewhere` are the prices of all platforms. A unit that has no price here is estimated by them.
    `ends` are those that the operators have recorded, which count before those that ship.
    """

    def __init__(
        self,
        shipped: Tariff,
        own: Iterable[Price] = (),
        elsewhere: Iterable[Price] = (),
        ends: Iterable[End] = (),
    ) -> None:
        self._tiers = shipped.tiers
        self._ends = {end.model: end for end in (*shipped.ends, *ends)}
        self.prices = [*shipped.prices, *own]
        self._elsewhere = [*elsewhere]

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
        platform has for the unit, else any platform, and named in the answer. So is a negative
        count, which says nothing but how large it is: nothing that was used makes a cost smaller.
        A price of a tier or a snapshot hides no higher price of a longer context: if it has none
        for that context itself, the dearer of the two counts, and is named as an estimate.
        """
        use = _Use(item, on, tier, context)
        total, estimated, unknown = Decimal(0), [], []
        for unit, count in used.items():
            if not count:
                continue
            found = self._each(unit, use) if count > 0 else None
            if found is None:
                each, is_sure = self._dearest(unit, use), False
                if each is None:
                    unknown.append((item, unit))
            else:
                each, is_sure = found
            if not is_sure:
                estimated.append((item, unit))
            total += (each or Decimal(0)) * abs(Decimal(count))
        if self._factor(tier) is None and not self._has_own(use, used):
            estimated.insert(0, (tier, "tier"))
        return Cost(int(total.to_integral_value(ROUND_CEILING)), tuple(estimated), tuple(unknown))

    def has_price(self, item: str, unit: str, on: date) -> bool:
        """Whether a unit of an item has a price of its own on a day."""
        return any(
            (each.item, each.unit) == (item, unit) and each.starts_on <= on for each in self.prices
        )

    def end(self, model: str) -> End | None:
        """The end of a model, if its vendor has announced one. A snapshot (gpt-x-2026-01-31) or a
        version (owner/name:version) ends with its model, unless it has an end of its own."""
        names = (model, _SNAPSHOT.sub("", model), model.partition(":")[0])
        return next((self._ends[name] for name in names if name in self._ends), None)

    def ends(self) -> list[End]:
        """All known ends."""
        return [*self._ends.values()]

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

    def _counted_factor(self, tier: str) -> Decimal:
        """The factor of a tier; of one that is not known, the largest."""
        factor = self._factor(tier)
        if factor is not None:
            return factor
        return max((self._tiers or {}).values(), default=Decimal(1))

    def _has_own(self, use: _Use, used: Mapping[str, int | float]) -> bool:
        """Whether the tier has its own price of all that was used, so that no factor counts."""
        return all(
            any(row.tier == use.tier for row in self._found(unit, use)[:1])
            for unit, count in used.items()
            if count
        )

    def _each(self, unit: str, use: _Use) -> tuple[Decimal, bool] | None:
        """Micro-USD for one of a unit, and whether that is its price or an estimate."""
        found = self._found(unit, use)
        if not found:
            return None
        first, factor = found[0], self._counted_factor(use.tier)
        each = first.micro_usd * (1 if first.tier else factor)
        if self._factor(use.tier) is None and not first.tier:
            each = max([each, *self._of_any_tier(unit, use, first.item)])
        hidden = [row for row in found if row.context_over > first.context_over]
        # A tier with prices of its own may cost less than its factor says, but of a longer context
        # that is not known: it is not estimated below the price for all.
        least = max(factor, Decimal(1)) if first.tier else factor
        dearer = [row.micro_usd * (1 if row.tier else least) for row in hidden]
        return max([each, *dearer]), not hidden

    def _of_any_tier(self, unit: str, use: _Use, item: str) -> list[Decimal]:
        """What one of the unit costs at each tier that has a price of its own."""
        tiers = {each.tier for each in self.prices if each.item == item} - {ANY_TIER}
        rows = (self._fitting(unit, use, item, tier) for tier in sorted(tiers))
        return [row.micro_usd for row in rows if row is not None]

    def _found(self, unit: str, use: _Use) -> list[Price]:
        """The rows that fit, the one that says most of the use first: a price of the snapshot comes
        before one of the model, and one of the tier before one for all."""
        names = dict.fromkeys((use.item, _SNAPSHOT.sub("", use.item)))
        tiers = dict.fromkeys((use.tier, ANY_TIER))
        fitting = (self._fitting(unit, use, name, tier) for name in names for tier in tiers)
        return [row for row in fitting if row is not None]

    def _fitting(self, unit: str, use: _Use, name: str, tier: str) -> Price | None:
        rows = [
            each
            for each in self.prices
            if (each.item, each.unit, each.tier) == (name, unit, tier)
            and each.starts_on <= use.on
            and _reaches(each, use.context)
        ]
        # `max` takes the first of equal ones: the later row of the lists must win.
        return max(reversed(rows), key=lambda row: (row.context_over, row.starts_on), default=None)

    def _dearest(self, unit: str, use: _Use) -> Decimal | None:
        """The dearest price of one of the unit, in micro-USD; None if no platform has one.

        That of another tier or a longer context counts only if there is no other.
        """
        factor = self._counted_factor(use.tier)
        for known in (self.prices, self._elsewhere):
            rows = [each for each in known if each.unit == unit]
            alike = [each for each in rows if each.tier in (ANY_TIER, use.tier)]
            rows = [each for each in alike if _reaches(each, use.context)] or rows
            if rows:
                return max(each.micro_usd * (1 if each.tier else factor) for each in rows)
        return None


def _reaches(row: Price, context: int) -> bool:
    return not row.context_over or context > row.context_over
