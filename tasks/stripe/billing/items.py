"""The items of a subscription as values: how they are, what a change makes of them, and the way
back.

An item is {item, price, quantity}. Two states are the same if they have the same prices and
quantities: an item that was deleted and comes back has another id.
"""

from collections.abc import Sequence

from app.platform import Json
from tasks.stripe.wording import given, id_of


def as_now(items: Sequence[Json]) -> list[Json]:
    """Stripe's items as such values."""
    return [
        {"item": each["id"], "price": id_of(each["price"]), "quantity": each.get("quantity")}
        for each in items
    ]


def wanted_of(seen: Json, changes: Sequence[Json]) -> list[Json]:
    """The items that a subscription has after the changes.

    >>> seen = {"items": {"data": [{"id": "si_1", "price": {"id": "small"}, "quantity": 2}]}}
    >>> wanted_of(seen, [{"item": "si_1", "price": "big", "quantity": None, "deleted": False}])
    [{'item': 'si_1', 'price': 'big', 'quantity': 2}]
    """
    by_item = {each["item"]: each for each in changes if each["item"] is not None}
    kept = [
        each
        for each in as_now(seen["items"]["data"])
        if not by_item.get(each["item"], {}).get("deleted")
    ]
    values = [each | given(_values(by_item.get(each["item"], {}))) for each in kept]
    new = [
        {"item": None, "price": each["price"], "quantity": _quantity(each)}
        for each in changes
        if each["item"] is None
    ]
    return values + new


def changed(changes: Sequence[Json]) -> list[Json]:
    """The changes as Stripe takes them."""
    return [
        given({"id": each["item"], **_values(each), "deleted": each["deleted"] or None})
        for each in changes
    ]


def restored(seen: Json, before: Sequence[Json]) -> list[Json]:
    """The changes, as Stripe takes them, that give a subscription the items that it had before."""
    now = {each["id"] for each in seen["items"]["data"]}
    kept = {each["item"] for each in before}
    again = [
        given({"id": each["item"] if each["item"] in now else None, **_values(each)})
        for each in before
    ]
    return again + [{"id": each, "deleted": True} for each in sorted(now - kept)]


def intervals(seen: Json) -> Json:
    """The interval of each item of a subscription, by the item's id, such as `1 month`."""
    priced = {each["id"]: each["price"]["recurring"] for each in seen["items"]["data"]}
    return {item: f"{each['interval_count']} {each['interval']}" for item, each in priced.items()}


def same(some: Sequence[Json], others: Sequence[Json]) -> bool:
    """Whether two states have the same prices and quantities.

    An item without a quantity, which is metered, is as one of the same price with any.

    >>> same([{"price": "a", "quantity": 1}], [{"price": "a", "quantity": 2}])
    False
    >>> same([{"price": "a", "quantity": 1}], [{"price": "a", "quantity": 0}])
    False
    >>> same([{"price": "a", "quantity": None}], [{"price": "a", "quantity": 2}])
    True
    """
    pairs = zip(_sorted(some), _sorted(others), strict=False)
    return len(some) == len(others) and all(_is_same(*pair) for pair in pairs)


def _is_same(one: Json, other: Json) -> bool:
    quantities = {one["quantity"], other["quantity"]}
    return bool(one["price"] == other["price"]) and (None in quantities or len(quantities) == 1)


def _sorted(items: Sequence[Json]) -> list[Json]:
    return sorted(items, key=lambda each: (str(each["price"]), _quantity(each)))


def _quantity(each: Json) -> int:
    return 1 if each["quantity"] is None else int(each["quantity"])


def _values(each: Json) -> Json:
    return {name: each.get(name) for name in ("price", "quantity")}
