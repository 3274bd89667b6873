"""Payments that were seen lately, by keyed hashes of their card, e-mail address and postal address.

Invariant: nothing but the hashes is stored, and only whoever has the key can make them. A payment
counts once, whatever reports it, and however often. Rules count within one organisation.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from app import db

Kind = Literal["card", "email", "address"]
_SPACE = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Sighting:
    """A payment: its id at its platform, its hashes, and its amount in minor units."""

    platform: str
    payment_id: str
    card: bytes | None
    email: bytes | None
    address: bytes | None
    amount: int
    currency: str


@dataclass(frozen=True)
class Tally:
    """The payments that share something with one of them: their number, and their amount in its
    currency. Both include that payment; both are 0 if it has no such thing."""

    number: int
    total: int


def hashed(key: bytes, kind: Kind, value: str | None) -> bytes | None:
    """The keyed hash of a card's fingerprint or of an address; None for an empty value.

    Addresses are folded first, so that the same one written otherwise has the same hash. No rule
    of a mail provider is applied: dots and parts after a plus stay.

    >>> hashed(b"k", "email", " Ada@Example.com") == hashed(b"k", "email", "ada@example.com")
    True
    >>> hashed(b"k", "address", "Main St. 1, Vienna") == hashed(b"k", "address", "main st 1 vienna")
    True
    >>> hashed(b"k", "email", "1") == hashed(b"k", "card", "1")
    False
    """
    folded = unicodedata.normalize("NFKC", value or "")
    if kind != "card":
        folded = folded.casefold().strip()
    if kind == "address":
        folded = _SPACE.sub(" ", folded).strip()
    if not folded:
        return None
    return hmac.digest(key, f"{kind}\0{folded}".encode(), hashlib.sha256)


def note(user_id: UUID, seen: Sighting, seconds: float) -> None:
    """Store a payment of the user's organisation for so long, and commit.

    Raises Unavailable if PostgreSQL does not come back in time.
    """
    db.call(
        "SELECT note_sighting_v1(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            user_id,
            seen.platform,
            seen.payment_id,
            seen.card,
            seen.email,
            seen.address,
            seen.amount,
            seen.currency,
            seconds,
        ),
    )


def tally(
    user_id: UUID, platform: str, payment_id: str, asked: Sequence[tuple[Kind, float]]
) -> list[Tally]:
    """For each (kind, seconds): the payments of so many seconds that share this with the payment,
    which was noted before. Raises Unavailable."""
    kinds, seconds = [kind for kind, _ in asked], [float(window) for _, window in asked]
    rows = db.patiently(
        lambda: db.rows(
            "SELECT number, total FROM tally_sightings_v1(%s, %s, %s, %s::text[], %s::float8[])",
            (user_id, platform, payment_id, kinds, seconds),
        )
    )
    return [Tally(int(row["number"]), int(row["total"])) for row in rows]


def forget(hashes: Sequence[bytes]) -> int:
    """Delete the payments with one of these hashes, and those that share a card, an e-mail address
    or a postal address with one of them, of all organisations; how many."""
    row = db.row(_FORGET, {"hashes": [*hashes]})
    return int(row["number"]) if row else 0


_FORGET = """
WITH own AS (SELECT card, email, address FROM payment_sightings
  WHERE card = ANY (%(hashes)s) OR email = ANY (%(hashes)s) OR address = ANY (%(hashes)s)),
gone AS (DELETE FROM payment_sightings
  WHERE card IN (SELECT card FROM own) OR email IN (SELECT email FROM own)
     OR address IN (SELECT address FROM own)
  RETURNING 1)
SELECT count(*) AS number FROM gone
"""


def forget_payment(user_id: UUID, platform: str, payment_id: str) -> None:
    """Delete one payment of the user's organisation, if it was noted. Raises Unavailable."""
    db.call(_FORGET_PAYMENT, (user_id, platform, payment_id))


_FORGET_PAYMENT = """
DELETE FROM payment_sightings USING users
 WHERE users.id = %s AND payment_sightings.organisation_id = users.organisation_id
   AND platform = %s AND payment_id = %s
"""


def forget_old(most: int) -> int:
    """Delete at most so many payments that no rule looks back to; how many."""
    row = db.row("SELECT forget_sightings_v1(%s) AS number", (most,))
    return int(row["number"]) if row else 0
