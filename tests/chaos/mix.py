"""What is submitted: a mix made of a seed, a number and a pace alone. Pure.

Invariant: the same seed gives the same workflows in the same order, each with an idempotency key
of its own; `ends` are the only states in which it may end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.chaos import limits

Json = dict[str, Any]

DONE = frozenset({"succeeded"})
UNDONE = frozenset({"compensated"})
NOTHING_DONE = frozenset({"failed", "compensated"})
EITHER = DONE | NOTHING_DONE
NAPPING = 8.0  # steps that sleep at any moment
NAPS_SHARE = 0.16
LONGEST_NAP_SECONDS = 8.0
MOST_TARGETS = 3
PRICE: Json = {"amount": 4900, "currency": "eur"}
BRIEF = "A summer campaign: the same face in every picture, cheerful and warm."
REFUSED_BRIEF = "A poster that calls for murder."

SHARES = {
    "noop_chain": 0.36,
    "chaos_fan": 0.14,
    "chaos_naps": NAPS_SHARE,
    "chaos_paid": 0.10,
    "chaos_paid_fails": 0.07,
    "chaos_pictures_fail": 0.04,
    "chaos_channel_fails": 0.04,
    "face_swap_campaign": 0.13,
    "chaos_nested": 0.08,
    "chaos_ways": 0.12,
    "chaos_approved": 0.06,
    "chaos_parent": 0.05,
    "chaos_parent_fails": 0.04,
    "chaos_budgeted": 0.05,
    "chaos_penniless": 0.02,
    limits.TYPE: 0.10,
}
CAMPAIGNS = {
    "goes well": 0.56,
    "declined": 0.12,
    "faceless": 0.12,
    "unnotified": 0.12,
    "refused": 0.08,
}


@dataclass(frozen=True)
class Pictures:
    """Artifacts that were uploaded before."""

    source: str
    targets: tuple[str, ...]
    faceless: str


@dataclass(frozen=True)
class Item:
    """One submission: `effects` must stand in the books if it succeeds; `fault` is planned at the
    sandbox before it is submitted."""

    at: float
    key: str
    type: str
    input: Json
    ends: frozenset[str]
    effects: dict[str, int] = field(default_factory=dict)
    fault: Json | None = None


def make_mix(seed: int, workflows: int, seconds: float, pictures: Pictures) -> list[Item]:
    """So many items, evenly over the time."""
    random = Random(f"mix {seed}")
    share = NAPS_SHARE / sum(SHARES.values())
    nap = NAPPING / (workflows / seconds * share * 3)
    longest = min(LONGEST_NAP_SECONDS, seconds / 15.0)
    making = _Making(random, pictures, round(min(longest, nap), 1))
    chosen = random.choices(list(SHARES), list(SHARES.values()), k=workflows)
    return [
        making.item(type, f"chaos-{seed}-{number}", number * seconds / workflows)
        for number, type in enumerate(chosen)
    ]


def own_faults(items: list[Item]) -> Iterator[Json]:
    """The faults that belong to the mix."""
    return (item.fault for item in items if item.fault is not None)


@dataclass(frozen=True)
class _Making:
    random: Random
    pictures: Pictures
    nap_seconds: float

    def item(self, type: str, key: str, at: float) -> Item:  # noqa: C901 - a list of the types
        if type == "face_swap_campaign":
            return self.campaign(key, at)
        payer = {"customer_email": f"{key}@example.com"}
        paid = {"authorizations": 1, "captures": 1}
        match type:
            case "chaos_fan":
                return Item(at, key, type, {"items": self.numbers(2, 9)}, DONE)
            case "chaos_naps":
                return Item(at, key, type, {"seconds": self.nap_seconds}, DONE)
            case "chaos_paid" | "chaos_approved":
                return Item(at, key, type, payer, DONE, paid)
            case "chaos_paid_fails" | "chaos_parent_fails" | "chaos_channel_fails":
                return Item(at, key, type, payer, UNDONE)
            case "chaos_parent":
                return Item(at, key, type, payer, DONE)
            case "chaos_pictures_fail":
                return Item(at, key, type, payer | self.photographs(2), UNDONE)
            case "chaos_nested":
                rows = [self.numbers(1, 4) for _ in range(self.random.randint(1, 4))]
                return Item(at, key, type, {"rows": rows}, DONE)
            case "chaos_ways":
                number = self.random.randint(0, 9)
                return Item(at, key, type, payer | {"number": number}, DONE)
            case limits.TYPE:
                return Item(at, key, type, {"shop": self.random.randrange(limits.SHOPS)}, DONE)
            case "chaos_budgeted":
                return Item(at, key, type, self.photographs(MOST_TARGETS), EITHER)
            case "chaos_penniless":
                return Item(at, key, type, {}, NOTHING_DONE)
            case _:
                return Item(at, key, type, {}, DONE)

    def numbers(self, fewest: int, most: int) -> list[int]:
        return list(range(self.random.randint(fewest, most)))

    def photographs(self, most: int) -> Json:
        count = self.random.randint(1, most)
        targets = self.random.sample(self.pictures.targets, count)
        return {"source": self.pictures.source, "targets": targets}

    def campaign(self, key: str, at: float) -> Item:
        item = make_campaign(self.random, self.pictures, key, at, PRICE)
        (fate,) = self.random.choices(list(CAMPAIGNS), list(CAMPAIGNS.values()))
        return fated(item, fate, self.pictures)


def make_campaign(random: Random, pictures: Pictures, key: str, at: float, price: Json) -> Item:
    """A face-swap campaign at this price, of one to MOST_TARGETS photographs."""
    count = random.randint(1, MOST_TARGETS)
    targets = random.sample(pictures.targets, count)
    given: Json = {
        "customer_email": f"{key}@example.com",
        "payment_method": "pm_card_visa",
        "price": price,
        "brief": BRIEF,
        "consent": {"by": "Ada", "at": "2026-11-22T10:00:00Z", "text": "I agree."},
        "source": pictures.source,
        "targets": targets,
    }
    effects = {"authorizations": 1, "captures": 1, "deployments": 1, "predictions": count}
    return Item(at, key, "face_swap_campaign", given, EITHER, effects)


def fated(item: Item, fate: str, pictures: Pictures) -> Item:
    """The item with its fate, one of CAMPAIGNS.

    A vendor's own failure may come before the fate does, so an end in good order is enough.
    """
    given, ends, fault = dict(item.input), NOTHING_DONE, None
    match fate:
        case "declined":
            given["payment_method"] = "pm_card_chargeDeclined"
        case "faceless":
            given["targets"] = [*given["targets"][1:], pictures.faceless]
        case "refused":
            given["brief"] = REFUSED_BRIEF
        case "unnotified":
            fault = {
                "vendor": "n8n", "operation": "webhook.post", "kind": "fail",
                "match": given["customer_email"], "error": "the mailbox is closed",
            }  # fmt: skip
        case _:
            ends = EITHER
    return Item(item.at, item.key, item.type, given, ends, item.effects, fault)
