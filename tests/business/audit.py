"""Compares the ledger with the books of the imitated Stripe, and differences with what caused them.

Invariant: what Stripe did is read from Stripe alone: its balance transactions summed by the
sandbox, and its API. Of ours only balances and differences are read.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.business.place import Json, Place
from tests.business.shop import Shop

Sums = dict[str, int]


@dataclass
class Audit:
    """What was found of each day."""

    place: Place
    shop: Shop
    lost: set[str] = field(default_factory=set)
    """The objects of which a webhook was lost."""
    explained: int = 0
    unexplained: list[str] = field(default_factory=list)
    _seen: int = 0

    def look(self) -> None:
        """Explain each open difference whose webhook was lost, and note the others."""
        for each in self.place.control("GET", f"/webhooks?after={self._seen}")["deliveries"]:
            self._seen = each["seq"]
            if each["state"] in ("dropped", "failed"):
                self.lost.add(each["object_id"])
        for each in self.place.differences():
            about = each["about"].split(":")[1]
            if each["kind"] == "missing_here" and about in self.lost:
                note = {"note": "its webhook was lost"}
                self.place.api("POST", f"/v1/money/differences/{each['id']}/explain", note)
                self.explained += 1
            else:
                self.unexplained.append(told(each))

    def uneven(self) -> list[str]:
        """Where the ledger and Stripe's books differ now, in any currency."""
        self.place.compare(datetime.fromtimestamp(self.place.now(), UTC).date())
        return uneven(self.place, *self.shop.taken())

    def risks(self) -> list[str]:
        """Where what the ledger shows at risk differs from what open disputes have taken."""
        return _differing("at risk", self.place.balances().get("stripe:disputed", {}),
                          self.shop.at_risk())  # fmt: skip


def uneven(place: Place, captured: Sums, refunded: Sums) -> list[str]:
    """Where the ledger differs from Stripe's balance transactions, and from what Stripe's API says
    was captured and refunded, by currency in upper case. All must be compared before."""
    ours, found = place.balances(), list[str]()
    books = place.control("GET", "/stripe/books")["currencies"]
    kept = _added(ours, "stripe:fees", "dispute_fees")
    pairs = {
        "balance": (ours.get("stripe:balance", {}), _summed(books, "net")),
        "fees": (kept, _summed(books, "fee")),
        "revenue": ({k: -v for k, v in ours.get("revenue", {}).items()}, captured),
        "refunds": (_added(ours, "refunds", "refunds_failed"), refunded),
        "not settled yet": (ours.get("stripe:settling", {}), {}),
        "still held": (ours.get("stripe:authorized", {}), {}),
    }
    for what, (here, there) in pairs.items():
        found += _differing(what, here, there)
    return found


def _differing(what: str, here: Sums, there: Sums) -> list[str]:
    return [
        f"{what} in {code}: ours {here.get(code, 0)}, Stripe's {there.get(code, 0)}"
        for code in sorted({*here, *there})
        if here.get(code, 0) != there.get(code, 0)
    ]


def told(difference: Json) -> str:
    """A difference in words, with both sides."""
    sides = [
        f"{side} {difference[side]['amount']} {difference[side]['currency']}"
        for side in ("ours", "theirs")
        if difference[side] is not None
    ]
    return f"{difference['day']} {difference['kind']} {difference['about']}: {', '.join(sides)}"


def _summed(books: Json, name: str) -> dict[str, int]:
    sums = {code.upper(): sum(line[name] for line in page.values()) for code, page in books.items()}
    return {code: amount for code, amount in sums.items() if amount}


def _added(balances: dict[str, dict[str, int]], *accounts: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for account in accounts:
        for code, amount in balances.get(account, {}).items():
            found[code] = found.get(code, 0) + amount
    return {code: amount for code, amount in found.items() if amount}
