"""How requests to Stripe and what is read of its objects are written."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from app.platform import Json


def without(request: Mapping[str, Any], *names: str) -> Json:
    """A request without the parameters that stand in its URL.

    >>> without({"invoice": "in_1", "amount": 1}, "invoice")
    {'amount': 1}
    """
    return {name: value for name, value in request.items() if name not in names}


def given(values: Mapping[str, Any]) -> Json:
    """The parameters that have a value.

    >>> given({"memo": None, "amount": 1})
    {'amount': 1}
    """
    return {name: value for name, value in values.items() if value is not None}


def picked(seen: Mapping[str, Any], names: Iterable[str]) -> Json:
    """Those fields of an object; None for one that the object lacks.

    >>> picked({"id": "in_1", "total": 5}, ["total", "number"])
    {'total': 5, 'number': None}
    """
    return {name: seen.get(name) for name in names}


def id_of(value: Any) -> str | None:
    """The id of an object that may be expanded.

    >>> id_of({"id": "pi_1"}), id_of("pi_1"), id_of(None)
    ('pi_1', 'pi_1', None)
    """
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def time_of(seconds: int | None) -> str | None:
    """A time of Stripe's in Unix seconds, as a text; None for none.

    >>> time_of(1798761599)
    '2026-12-31T23:59:59Z'
    """
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
