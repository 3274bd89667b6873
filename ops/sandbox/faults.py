"""Planned faults: what goes wrong, at which operation of which vendor, how many times.

Invariant: at most one fault of each stage applies to a request, and `slow` in addition. Faults
apply in the order in which they were added, so 'first a 429, then a lost reply' needs two entries.
"""

from __future__ import annotations

import fnmatch
import json
import threading
from dataclasses import dataclass
from typing import Any

from ops.sandbox.store import Json, Store

REPLY = ("lost_reply", "cut_reply", "reset_before", "status")
SLOW = ("slow",)
WEBHOOK = ("drop_webhook", "double_webhook", "delay_webhook", "forge_webhook")
OUTCOME = ("fail",)
KINDS = REPLY + SLOW + WEBHOOK + OUTCOME
VENDORS = ("stripe", "openai", "replicate", "vercel", "agora", "n8n", "http", "*")


@dataclass(frozen=True)
class Fault:
    """One planned fault; `remaining` is the number of times it still applies, -1 for no limit."""

    id: int
    vendor: str
    operation: str
    kind: str
    remaining: int
    hits: int
    parameters: Json

    def describe(self) -> Json:
        """Return the fault as the control API shows it."""
        return {
            "id": self.id,
            "vendor": self.vendor,
            "operation": self.operation,
            "kind": self.kind,
            "count": self.remaining,
            "hits": self.hits,
            **self.parameters,
        }

    def matches(self, vendor: str, operation: str, text: str) -> bool:
        """Return whether the fault applies to a request.

        If the parameters have `match`, it must be a substring of `text`.
        """
        return (
            self.remaining != 0
            and self.vendor in (vendor, "*")
            and fnmatch.fnmatchcase(operation, self.operation)
            and str(self.parameters.get("match", "")) in text
        )


class Faults:
    """All planned faults; they are in the store, so they survive a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._planned = 0
        self.reload()

    def reload(self) -> None:
        """Count the remaining faults again; while the count is 0, requests need no query."""
        rows = self._store.read("SELECT count(*) AS n FROM faults WHERE remaining != 0")
        self._planned = int(rows[0]["n"])

    def add(self, entry: dict[str, Any]) -> Fault:
        """Plan a fault; raises ValueError with the reason if the entry is wrong."""
        rest = dict(entry)
        kind, vendor = rest.pop("kind", None), rest.pop("vendor", "*")
        operation, count = rest.pop("operation", "*"), rest.pop("count", 1)
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if vendor not in VENDORS:
            raise ValueError(f"vendor must be one of {', '.join(VENDORS)}")
        if not isinstance(count, int) or count < -1 or count == 0:
            raise ValueError("count must be a positive number, or -1 for no limit")
        with self._store.transaction():
            rows = self._store.execute(
                "INSERT INTO faults (vendor, operation, kind, remaining, parameters) "
                "VALUES (?,?,?,?,?) RETURNING *",
                (vendor, operation, kind, count, json.dumps(rest)),
            )
        self.reload()
        return _fault(rows[0])

    def take(
        self, vendor: str, operation: str, kinds: tuple[str, ...], text: str = ""
    ) -> Fault | None:
        """Find the first fault of these kinds that applies, use it once and return it, or None."""
        if not self._planned:
            return None
        # Take no lock except the store's: a caller in a transaction may already hold that lock, so
        # a second lock could cause a deadlock.
        with self._store.transaction():
            for fault in self.all():
                if fault.kind in kinds and fault.matches(vendor, operation, text):
                    self._store.execute(
                        "UPDATE faults SET hits = hits + 1, remaining = "
                        "CASE WHEN remaining > 0 THEN remaining - 1 ELSE remaining END "
                        "WHERE id = ?",
                        (fault.id,),
                    )
                    return fault
        return None

    def all(self) -> list[Fault]:
        """Return all faults, also those that no longer apply, oldest first."""
        return [_fault(row) for row in self._store.read("SELECT * FROM faults ORDER BY id")]

    def clear(self) -> None:
        """Delete all faults."""
        self._store.execute("DELETE FROM faults")
        self.reload()


def _fault(row: Any) -> Fault:
    return Fault(
        row["id"],
        row["vendor"],
        row["operation"],
        row["kind"],
        row["remaining"],
        row["hits"],
        json.loads(row["parameters"]),
    )
