"""Thin events: what API v2 says of the events of the account; they name their object only.

Invariant: a thin event is computed from the snapshot event that it belongs to, so it is the same
whenever it is read. `thin_events.json` has the names that Stripe's SDK knows.
https://docs.stripe.com/api/v2/core/events, /event-destinations#thin-events
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ops.sandbox.store import Json

NAMES: Json = json.loads((Path(__file__).parents[1] / "thin_events.json").read_text())
"""Name of each thin event -> what it names: an `object` with an id, a `singleton`, or `nothing`."""
THIN = "v2.core.event"
_PREFIX = "evt_test_65"
_STATUSES = ("active", "incomplete", "incomplete_expired", "past_due", "trialing", "unpaid")
_CHANGED: dict[str, dict[str, str]] = {
    "customer.subscription": {
        "cancel_at": "cancel_at_changed",
        "default_payment_method": "default_payment_method_changed",
    },
    "customer.discount": {"source": "source_changed"},
    "invoiceitem": {"amount": "amount_changed"},
    "price": {"lookup_key": "lookup_key_changed", "tax_behavior": "tax_behavior_changed"},
    "product": {"default_price": "default_price_changed", "tax_code": "tax_code_changed"},
}
"""The name of the finer event of a field that has changed."""
_ITEM_CHANGED = {
    "price": "item_price_changed",
    "quantity": "item_quantity_changed",
    "tax_rates": "item_tax_rates_changed",
}


def thin_events(event: Json) -> Iterator[Json]:
    """Return the thin events of a stored snapshot event: its own, and the finer ones."""
    names = [event["type"], *_finer(event)]
    for number, name in enumerate(names):
        if f"v1.{name}" in NAMES:
            yield _thin(event, number, f"v1.{name}")


def thin_event(event: Json) -> Json:
    """Return the thin event of an event, also if the SDK does not know its name."""
    return _thin(event, 0, f"v1.{event['type']}")


def snapshot_id(thin_id: str) -> str:
    """Return the id of the event that a thin event belongs to."""
    return f"evt_{thin_id.removeprefix(_PREFIX)[2:]}"


def notice(thin: Json) -> Json:
    """Return a thin event as it is sent: without what only its retrieval shows."""
    return {k: v for k, v in thin.items() if k not in ("changes", "data", "snapshot_event")}


def stamp(at: float) -> str:
    """Return Unix seconds as API v2 writes times."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _thin(event: Json, number: int, name: str) -> Json:
    about, asked = event["data"]["object"], event["request"]
    previous = event["data"].get("previous_attributes")
    found: Json = {
        "id": f"{_PREFIX}{number:02}{event['id'].removeprefix('evt_')}",
        "object": THIN,
        "type": name,
        "created": stamp(event["created"]),
        "context": None,
        "livemode": False,
        "reason": {"type": "request", "request": asked} if asked["id"] else None,
        "changes": None,
        "snapshot_event": event["id"],
    }
    if previous:
        after = {each: about.get(each) for each in previous}
        found["changes"] = {"before": previous, "after": after}
    names = NAMES.get(name, "object")
    if names == "object":
        found["related_object"] = {"id": about.get("id"), **_named(about)}
    elif names == "singleton":
        found["related_object"] = _named(about)
    return found


def _named(about: Json) -> Json:
    """Return the kind and the address of an object."""
    kind, customer = about["object"], f"/v1/customers/{about.get('customer')}"
    own = {
        "balance": "/v1/balance",
        "cash_balance": f"{customer}/cash_balance",
        "card": f"{customer}/sources/{about.get('id')}",
        "customer_cash_balance_transaction": f"{customer}/cash_balance_transactions/"
        f"{about.get('id')}",
        "discount": f"{customer}/discount",
    }
    return {"type": kind, "url": own.get(kind, f"/v1/{kind.replace('.', '/')}s/{about.get('id')}")}


def _finer(event: Json) -> Iterator[str]:
    """Return the names of the changes that Stripe tells of by themselves."""
    family, _, verb = event["type"].rpartition(".")
    before, now = event["data"].get("previous_attributes") or {}, event["data"]["object"]
    if verb != "updated":
        return
    for name, finer in _CHANGED.get(family, {}).items():
        if name in before:
            yield f"{family}.{finer}"
    if family in ("price", "product") and "active" in before:
        yield f"{family}.{'activated' if now['active'] else 'deactivated'}"
    if family == "promotion_code" and "times_redeemed" in before:
        most = now.get("max_redemptions") or (now.get("restrictions") or {}).get("max_redemptions")
        if most and now["times_redeemed"] >= most:
            yield f"{family}.fully_redeemed"
    if family == "customer.subscription":
        if "status" in before and now["status"] in _STATUSES:
            yield f"{family}.{now['status']}"
        if "items" in before:
            yield from (f"{family}.{each}" for each in _items(before["items"], now["items"]))


def _items(before: Json, now: Json) -> Iterator[str]:
    old = {each["id"]: each for each in before.get("data", [])}
    new = {each["id"]: each for each in now["data"]}
    yield from ("item_added" for each in new if each not in old)
    yield from ("item_removed" for each in old if each not in new)
    for each in old.keys() & new.keys():
        for field, finer in _ITEM_CHANGED.items():
            if _value(old[each], field) != _value(new[each], field):
                yield finer


def _value(item: Json, field: str) -> object:
    value = item.get(field)
    return value.get("id") if isinstance(value, dict) else value
