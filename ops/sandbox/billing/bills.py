"""The bills of the imitated vendors: what each call has used, and what that costs.

Invariant: a bill is written in the transaction of what is billed. The prices are the vendors' own
(`prices.json`), exact and not rounded, so that a client's books can be compared with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ops.sandbox.store import Json, Store

PRICES: Json = json.loads(Path(__file__).with_name("prices.json").read_text())
"""By vendor the price of one of each unit of an item in micro-USD, and the factors of the levels
of service. An item is a model, or a kind of hardware."""


@dataclass(frozen=True)
class Bill:
    """What one call is billed for: `used` says how many of each unit of the item.

    `tier` is the level of service, if the vendor has any. `key` is the idempotency key of the call.
    """

    vendor: str
    operation: str
    object_id: str
    item: str
    used: Mapping[str, int | float]
    tier: str = ""
    key: str | None = None


def write(store: Store, bill: Bill) -> None:
    """Write a bill; call this in the transaction of what is billed."""
    amount = micro_usd(bill)
    store.bill(
        bill.vendor,
        bill.operation,
        bill.object_id,
        bill.key,
        {
            "item": bill.item,
            "tier": bill.tier,
            "used": dict(bill.used),
            "micro_usd": None if amount is None else str(amount),
        },
    )


def micro_usd(bill: Bill) -> Decimal | None:
    """Return what a bill amounts to in micro-USD, or None if something of it has no price."""
    known = PRICES[bill.vendor]
    prices = known["micro_usd"].get(bill.item)
    used = {unit: count for unit, count in bill.used.items() if count}
    if prices is None or not used.keys() <= prices.keys():
        return None
    factor = known["tiers"].get(bill.tier) if bill.tier else "1"
    if factor is None:
        return None
    total = sum((Decimal(prices[unit]) * Decimal(str(used[unit])) for unit in used), Decimal(0))
    return total * Decimal(factor)


def of_tokens(usage: Any) -> dict[str, int | float]:
    """Return the tokens of a `usage` of OpenAI by their kinds, each of which has its price.

    Those that were read from a cache or written to one are among those of the input.
    """
    whole = usage.get("input_tokens", usage.get("prompt_tokens", 0))
    details = usage.get("input_tokens_details") or usage.get("prompt_tokens_details") or {}
    cached, kept = details.get("cached_tokens", 0), details.get("cache_write_tokens", 0)
    return {
        "input_tokens": whole - cached - kept,
        "cached_tokens": cached,
        "cache_write_tokens": kept,
        "output_tokens": usage.get("output_tokens", usage.get("completion_tokens", 0)),
    }
