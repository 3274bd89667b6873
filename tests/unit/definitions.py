"""Definitions to lay out, small enough to be checked by eye."""

from typing import Any

from chains.language.definition import Definition
from chains.plans.layout import compile_plan
from chains.plans.plan import Plan


def noop(key: str, **given: Any) -> dict[str, Any]:
    """A step that does nothing."""
    return {"step": key, "action": "control.noop", "with": given}


def fail(key: str, **rest: Any) -> dict[str, Any]:
    """A step that fails for good, unless `with` says how else."""
    return {"step": key, "action": "control.fail", **rest}


def planned(node: dict[str, Any], **rest: Any) -> Plan:
    """The plan of a definition with this root."""
    return compile_plan(Definition.from_body({"name": "sample", "do": node, **rest}))


FAN = {
    "sequence": [
        noop("a"),
        {"parallel": "both", "branches": [noop("b"), {"sequence": [noop("c"), noop("d")]}]},
        {
            "map": "each",
            "over": {"$": "input.items"},
            "max_concurrency": 2,
            "do": {"sequence": [noop("r", item={"$": "item"}), noop("s")]},
        },
        noop("z", all={"$": "steps.each.output"}),
    ]
}
