"""Stripe's search: its query language, and the fields of each kind that can be searched.

https://docs.stripe.com/search
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from ops.sandbox.box import Box
from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import error, integer, page_size

FIELDS = {
    "charge": (
        "amount", "billing_details.address.postal_code", "created", "currency", "customer",
        "disputed", "payment_method_details.card.brand", "payment_method_details.card.exp_month",
        "payment_method_details.card.exp_year", "payment_method_details.card.fingerprint",
        "payment_method_details.card.last4", "refunded", "status",
    ),
    "customer": ("created", "email", "name", "phone"),
    "invoice": (
        "created", "currency", "customer", "last_finalization_error_code",
        "last_finalization_error_type", "number", "receipt_number", "status", "subscription",
        "total",
    ),
    "payment_intent": ("amount", "created", "currency", "customer", "status"),
    "price": ("active", "currency", "lookup_key", "product", "type"),
    "product": ("active", "description", "name", "shippable", "url"),
    "subscription": ("created", "status"),
}  # fmt: skip
"""The fields of a query by kind; all kinds have `metadata` too."""
_ELSEWHERE = {
    "last_finalization_error_code": "last_finalization_error.code",
    "last_finalization_error_type": "last_finalization_error.type",
    "subscription": "parent.subscription_details.subscription",
}
"""Where an object has a field that is searched by another name."""


def search_results(box: Box, kind: str, params: Json) -> list[Json]:
    """Return the objects that a search query finds, after the lag of the settings."""
    if "query" not in params:
        raise error(400, "Missing required param: query.", "parameter_missing", "query")
    test = search_test(params["query"], kind)
    seen_until = time.time() - box.settings.number("stripe.search_lag_seconds")
    rows = box.store.query(kind, "created <= ?", (seen_until,))
    return [row.body for row in rows if not row.body.get("deleted") and test(row.body)]


def search_page(found: list[Json], params: Json, url: str) -> Json:
    """Return one page of a search's results."""
    limit = page_size(params)
    start = integer({"page": params["page"]}, "page") if params.get("page") else 0
    shown, more = found[start : start + limit], len(found) > start + limit
    answer: Json = {
        "object": "search_result",
        "data": shown,
        "has_more": more,
        "next_page": str(start + limit) if more else None,
        "url": url,
    }
    return answer | (
        {"total_count": len(found)} if "total_count" in params.get("expand", []) else {}
    )


_CLAUSE = re.compile(
    r"""\s*(?P<not>-)?(?P<field>[a-z0-9_.]+)(?:\[(?P<kq>['"])(?P<key>.+?)(?P=kq)\])?\s*
        (?P<op>:|~|>=|<=|>|<)\s*
        (?:(?P<q>['"])(?P<text>(?:\\.|(?!(?P=q)).)*)(?P=q)|(?P<bare>[\w.-]+))\s*""",
    re.VERBOSE,
)


def search_test(query: str, kind: str) -> Callable[[Json], bool]:
    """Return a function that tests whether an object of a kind matches a search query.

    Raises Refusal if the query does not parse, or names a field that cannot be searched.
    """
    position, clauses, joints = 0, [], set()
    while position < len(query):
        found = _CLAUSE.match(query, position)
        if not found:
            message = "We were unable to parse your search query."
            raise error(400, message + " Please check its syntax.", param="query")
        _check_field(found["field"], kind, has_key=found["key"] is not None)
        clauses.append(_clause(found))
        position = found.end()
        joint = re.compile(r"(AND|OR)\s+|(?=-?[a-z])", re.IGNORECASE).match(query, position)
        if position < len(query) and joint:
            joints.add((joint.group(1) or "AND").upper())
            position = joint.end()
    if not clauses or len(joints) > 1:
        raise error(400, "You cannot combine `AND` and `OR` in a search query.", param="query")
    combine = any if joints == {"OR"} else all
    return lambda body: combine(clause(body) for clause in clauses)


def _check_field(field: str, kind: str, *, has_key: bool) -> None:
    if (field == "metadata" and has_key) or field in FIELDS[kind]:
        return
    plural = f"{kind}s"
    message = (
        f"Field `{field}` is an unsupported search field for resource `{plural}`. See "
        f"http://stripe.com/docs/search#query-fields-for-{plural.replace('_', '-')} for a list of "
        "supported fields."
    )
    raise error(400, message, param="query")


def _at(body: Json, path: str) -> Any:
    value: Any = body
    for name in _ELSEWHERE.get(path, path).split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _clause(found: re.Match[str]) -> Callable[[Json], bool]:
    quoted, bare = found["text"], found["bare"]
    wanted = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
    field, key, operator, is_not = found["field"], found["key"], found["op"], bool(found["not"])

    def test(body: Json) -> bool:
        value = (body.get(field) or {}).get(key) if key is not None else _at(body, field)
        return _compare(value, operator, wanted) != is_not

    return test


def _compare(value: Any, operator: str, wanted: str) -> bool:
    if wanted == "null" or value is None:
        return value is None and wanted == "null"
    if operator == ":":
        return str(value).lower() == wanted.lower()
    if operator == "~":
        return wanted.lower() in str(value).lower()
    try:
        a, b = float(value), float(wanted)
    except ValueError:
        return False
    return {">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b}[operator]
