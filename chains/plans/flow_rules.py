"""Checks the `flow` of a definition: its expressions, its names, and what may not be combined.

Pure. What could not be obeyed together is refused with the reason, not ignored.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from chains.language.expression_rules import expression_faults
from chains.language.expressions import ExpressionInvalid, roots
from chains.language.faults import Fault, near
from chains.language.flow import Flow

_NAMES = "begin with input, steps.<key>, workflow, now, item or index"
_COLLECTED = 'gets {"items": [...]} as its input'


def flow_faults(
    flow: Flow, input_schema: Any, platforms: Collection[str], at: str = "/flow"
) -> Iterator[Fault]:
    """The faults of a `flow`; `platforms` are the names that the scope `platform` knows."""
    yield from _limit_faults(flow, platforms, at)
    yield from _bound_faults(flow, at)
    yield from _combination_faults(flow, at)
    if flow.collects:
        yield from _collected_faults(input_schema)
    for place, expression, is_of_item in _expressions(flow):
        schema = item_schema(input_schema) if is_of_item else input_schema
        for words in _expression_faults(expression, schema):
            yield at + place, words


def item_schema(input_schema: Any) -> Any:
    """The schema of one item of {"items": [...]}, the input of a definition that collects."""
    found: Any = input_schema
    for name in ("properties", "items", "items"):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found


def _limit_faults(flow: Flow, platforms: Collection[str], at: str) -> Iterator[Fault]:
    seen: set[tuple[str, str | None, str | None]] = set()
    for number, limit in enumerate(flow.concurrency or ()):
        place = f"{at}/concurrency/{number}"
        if limit.scope == "platform" and limit.name not in platforms:
            hint = near(limit.name or "", platforms) or f"; there are: {_listed(platforms)}"
            yield f"{place}/name", f"the scope platform needs the name of a platform{hint}"
        elif limit.scope != "definition" and limit.name is None:
            yield (
                f"{place}/name",
                f"a limit of the scope {limit.scope} needs a name to be shared by",
            )
        is_own = limit.scope == "definition"
        identity = (limit.scope, limit.name, limit.key if is_own and limit.name is None else None)
        if identity in seen:
            yield place, "is the same limit as one before it; give it a `name` of its own, or unite"
        seen.add(identity)


def _bound_faults(flow: Flow, at: str) -> Iterator[Fault]:
    debounce, throttle = flow.debounce, flow.throttle
    timeout = None if debounce is None else debounce.timeout
    if debounce is not None and timeout is not None and timeout < debounce.period:
        yield f"{at}/debounce/timeout", "is shorter than period, after which it starts anyway"
    if throttle is not None and throttle.burst > throttle.limit:
        yield f"{at}/throttle/burst", "is more than limit, all starts of a period"


def _combination_faults(flow: Flow, at: str) -> Iterator[Fault]:
    if flow.batch is not None:
        reasons = {
            "rate_limit": "would refuse single items of a batch; bound the batches by `throttle`",
            "debounce": "a batch and a debounce both decide when one workflow starts for many; keep"
            " one of them",
            "singleton": "a batch is a workflow of many starts, which has no single live workflow",
            "priority": "the items of a batch may have different priorities",
        }
        for name, words in reasons.items():
            if getattr(flow, name) is not None:
                yield f"{at}/{name}", f"does not go with `batch`: {words}"
    if flow.singleton is not None:
        yield from _singleton_faults(flow, at)
    yield from _share_faults(flow, at)
    waits = flow.concurrency or flow.throttle or _queues(flow)
    for name in ("share", "priority", "depth"):
        if getattr(flow, name) is not None and not waits:
            words = "orders or bounds what waits, but nothing waits: add concurrency or throttle"
            yield f"{at}/{name}", words


def _share_faults(flow: Flow, at: str) -> Iterator[Fault]:
    """Faults of keys that would give one value of `share.key` several lanes, each with its turn."""
    if flow.share is None:
        return
    keys = {
        f"/concurrency/{number}/key": each.key for number, each in enumerate(flow.concurrency or ())
    }
    if flow.throttle is not None:
        keys["/throttle/key"] = flow.throttle.key
    if flow.singleton is not None and _queues(flow):
        keys["/singleton/key"] = flow.singleton.key
    for place, key in keys.items():
        if key not in (None, flow.share.key):
            words = f"differs from {flow.share.key}, the key of `share`, so that one value of that"
            yield at + place, f"{words} would get a turn for each value of this; use one key"


def _queues(flow: Flow) -> bool:
    return flow.singleton is not None and flow.singleton.mode != "skip"


def _singleton_faults(flow: Flow, at: str) -> Iterator[Fault]:
    one = flow.singleton
    assert one is not None
    for number, limit in enumerate(flow.concurrency or ()):
        if limit.scope == "definition" and limit.key == one.key and limit.limit > 1:
            words = "singleton lets one workflow of this key run at a time; remove this limit"
            yield f"{at}/concurrency/{number}/limit", words
    if flow.debounce is not None and one.mode != "queue":
        words = (
            f"{one.mode} does not go with `debounce`, which has its own answer to a second start"
        )
        yield f"{at}/singleton/mode", f"{words}; use queue"


def _collected_faults(schema: Any) -> Iterator[Fault]:
    """Faults of an input schema that refuses every {"items": [...]}."""
    if not isinstance(schema, Mapping):
        return
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False and "items" not in properties:
        yield "/input_schema", f"excludes `items`, but a workflow of collected starts {_COLLECTED}"
    for name in schema.get("required", ()):
        if name != "items":
            yield (
                "/input_schema",
                f"requires {name!r}, but a workflow of collected starts {_COLLECTED}",
            )
    items = properties.get("items", {})
    if isinstance(items, Mapping):
        for name in ("minItems", "maxItems", "uniqueItems", "prefixItems", "contains"):
            if name in items:
                words = "is not checked for collected starts: each is checked alone, by `items`"
                yield f"/input_schema/properties/items/{name}", words


def _expressions(flow: Flow) -> Iterator[tuple[str, str, bool]]:
    """Each expression: its place, its text, and whether it reads one item of what is collected."""
    for number, limit in enumerate(flow.concurrency or ()):
        if limit.key is not None:
            yield f"/concurrency/{number}/key", limit.key, False
    for name in ("throttle", "rate_limit", "debounce", "batch", "singleton", "share"):
        key = getattr(getattr(flow, name), "key", None)
        if key is not None:
            yield f"/{name}/key", key, flow.collects and name in _OF_ITEMS
    if flow.share is not None and flow.share.cost is not None:
        yield "/share/cost", flow.share.cost, False
    if flow.priority is not None:
        yield "/priority", flow.priority, False


_OF_ITEMS = frozenset({"rate_limit", "debounce", "batch"})


def _expression_faults(expression: str, schema: Any) -> Iterator[str]:
    try:
        strange = sorted(roots(expression) - {"input"})
    except ExpressionInvalid:
        strange = []
    for name in strange:
        yield f"{name} is not known here; a key reads `input` only"
    if not strange:
        for words in expression_faults(expression, schema):
            yield words.replace(_NAMES, "begin with input")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:12])
