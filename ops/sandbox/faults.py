"""Faults by plan: what goes wrong, at which vendor's operation, how many times.

Invariant: one request meets at most one fault of a stage (plus `slow`), in the order in which the
faults were posted, so 'first a 429, then a lost reply' is two entries.
"""

from __future__ import annotations

import fnmatch
import json
import threading
from dataclasses import dataclass
from typing import Any

from ops.sandbox.store import Json, Store

REPLY = ("lost_reply", "reset_before", "status")
SLOW = ("slow",)
WEBHOOK = ("drop_webhook", "double_webhook", "delay_webhook", "forge_webhook")
OUTCOME = ("fail",)
KINDS = REPLY + SLOW + WEBHOOK + OUTCOME
VENDORS = ("stripe", "openai", "replicate", "vercel", "agora", "n8n", "*")


@dataclass(frozen=True)
class Fault:
    """One planned fault; `remaining` -1 means for ever."""

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
        """Say whether a request is meant; `match` in the parameters is a substring of `text`."""
        return (
            self.remaining != 0
            and self.vendor in (vendor, "*")
            and fnmatch.fnmatchcase(operation, self.operation)
            and str(self.parameters.get("match", "")) in text
        )


class Faults:
    """The plan, kept in the store, so that it survives a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._planned = 0
        self.reload()

    def reload(self) -> None:
        """Count again what is still planned (the count spares a query per request)."""
        rows = self._store.read("SELECT count(*) AS n FROM faults WHERE remaining != 0")
        self._planned = int(rows[0]["n"])

    def add(self, entry: dict[str, Any]) -> Fault:
        """Plan a fault; ValueError says what is wrong with the entry."""
        rest = dict(entry)
        kind, vendor = rest.pop("kind", None), rest.pop("vendor", "*")
        operation, count = rest.pop("operation", "*"), rest.pop("count", 1)
        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        if vendor not in VENDORS:
            raise ValueError(f"vendor is one of {', '.join(VENDORS)}")
        if not isinstance(count, int) or count < -1 or count == 0:
            raise ValueError("count is a positive number, or -1 for always")
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
        """Use up and return the first planned fault of these kinds that fits, or None."""
        if not self._planned:
            return None
        # The store's own lock alone: callers are within a transaction of it already.
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
        """Return every fault, used up or not, oldest first."""
        return [_fault(row) for row in self._store.read("SELECT * FROM faults ORDER BY id")]

    def clear(self) -> None:
        """Forget the plan."""
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
