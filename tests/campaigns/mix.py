"""Campaigns in several currencies, a fixed share of each with each fault. Pure.

Invariant: the same seed gives the same campaigns. Exactly 5 % of them have each kind of fault of
the vendors, and each fate; a campaign has one at most.
"""

from collections.abc import Callable
from random import Random
from urllib.parse import quote

from tests.chaos.mix import CAMPAIGNS, Item, Pictures, fated, make_campaign
from tests.chaos.plan import FROM_VENDORS, entry_of

AMOUNTS = {"eur": 4900, "jpy": 4900, "kwd": 12_340, "isk": 490_000, "idr": 7_500_000}
"""By currency, the price in the units in which Stripe counts it: no decimals of JPY; of KWD three,
of which the last is 0; of ISK two that are 00."""
SHARE = 0.05
FATES = tuple(fate for fate in CAMPAIGNS if fate not in ("goes well", "faceless"))
"""`faceless` needs a model that looks for faces."""

_NAMING: dict[tuple[str, str], Callable[[str], str]] = {
    ("stripe", "payment_intents.create"): quote,
    ("n8n", "webhook.post"): str,
}
"""The operations whose requests name the customer, so that a fault meets its own campaign, and how
they write the address."""


def make_campaigns(seed: int, each: int, seconds: float, pictures: Pictures) -> list[Item]:
    """So many campaigns of each currency, evenly over the time, in turn."""
    random = Random(f"campaigns {seed}")
    number = each * len(AMOUNTS)
    count = max(1, round(SHARE * number))
    troubles = [*FROM_VENDORS, *FATES]
    struck = random.sample(range(number), min(number, count * len(troubles)))
    trouble_of = {index: troubles[place % len(troubles)] for place, index in enumerate(struck)}
    codes = list(AMOUNTS)
    return [
        _made(
            random,
            make_campaign(
                random,
                pictures,
                f"campaign-{seed}-{index}",
                index * seconds / number,
                {
                    "amount": AMOUNTS[codes[index % len(codes)]],
                    "currency": codes[index % len(codes)],
                },
            ),
            trouble_of.get(index),
            pictures,
        )
        for index in range(number)
    ]


def _made(random: Random, item: Item, trouble: str | None, pictures: Pictures) -> Item:
    if trouble not in FROM_VENDORS:
        return item if trouble is None else fated(item, trouble, pictures)
    fault = entry_of(random, trouble)
    written = _NAMING.get((fault["vendor"], fault["operation"]))
    if written is not None:
        # Else the faults would meet one after the other whoever calls next while a circuit is
        # open, and would keep it open.
        fault["match"] = written(item.input["customer_email"])
    return Item(**(vars(item) | {"fault": fault}))
