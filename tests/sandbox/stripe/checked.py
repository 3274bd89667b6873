"""Compares replies with `shapes.json`, Stripe's own description of its objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.sandbox.stripe.describe import FOLDER

SHAPES = json.loads((FOLDER / "shapes.json").read_text())


WITHOUT_SHAPE = {
    "application": "only its id and its name are read, from accounts of the CLI",
    "checkout.session.page": "what the page of a Checkout Session asks for; not of the API",
    "list": "`data` and `has_more` of each page; its objects are compared",
    "search_result": "as `list`",
    "v2.core.event": "its fields depend on its name; they are compared with the SDK's classes",
}
"""The kinds that are replied and that `shapes.json` does not have, and why."""


def unknown_kinds(value: Any) -> set[str]:
    """Return the kinds of objects in a reply that are neither described nor known not to be."""
    found: set[str] = set()
    if isinstance(value, dict):
        kind = value.get("object")
        if isinstance(kind, str) and kind not in {*SHAPES["fields"], *WITHOUT_SHAPE}:
            found.add(kind)
        for each in value.values():
            found |= unknown_kinds(each)
    if isinstance(value, list):
        for each in value:
            found |= unknown_kinds(each)
    return found


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Return the objects of described kinds in a reply, however deep they are."""
    if isinstance(value, list):
        for each in value:
            yield from objects_in(each)
    if isinstance(value, dict):
        # Of a deleted object API v2 shows its id and its kind.
        is_deleted = value.get("deleted") or set(value) == {"id", "object"}
        if str(value.get("object")) in SHAPES["fields"] and not is_deleted:
            yield value
        for name, each in value.items():
            # The old values of what has changed are no whole objects.
            if name != "previous_attributes":
                yield from objects_in(each)


def faults_of(reply: Any) -> list[str]:
    """Return what is wrong with the fields of the objects in a reply."""
    found = []
    for each in objects_in(reply):
        kind = each["object"]
        fields = set(SHAPES["fields"][kind])
        found += [f"{kind} lacks {name}" for name in sorted(fields - set(each))]
        known = fields | set(SHAPES["included"][kind])
        found += [f"{kind} has no {name}" for name in sorted(set(each) - known)]
    return found
