"""Small definitions of every kind of node; `input.fails` makes the last step fail."""

from typing import Any

from tests.unit.definitions import noop

Node = dict[str, Any]

INPUT = {"fails": False, "items": [1, 2, 3, 4]}


def pay(key: str, **rest: Any) -> Node:
    """A paid step that the vendor knows by key and by lookup."""
    return {
        "step": key,
        "action": "stripe.capture",
        "with": {"payment_intent": "pi_1"},
        "retry": {"tries": 3, "backoff": "2s", "jitter": 0},
        **rest,
    }


def job(key: str) -> Node:
    """A step that the vendor works on while nobody waits."""
    return {"step": key, "action": "replicate.predict", "with": {"source": "a", "target": "b"}}


def undone(key: str) -> Node:
    """A step that another action undoes."""
    return {**noop(key), "compensation": {"action": "control.noop", "with": {"undone": True}}}


def failing(key: str, when: str = "input.fails") -> Node:
    """A step that fails for good where its condition holds."""
    return {"step": key, "action": "control.fail", "when": when}


def mapped(do: Node, **rest: Any) -> Node:
    """A map over the input's items, two at a time."""
    return {"map": "m", "over": {"$": "input.items"}, "max_concurrency": 2, "do": do, **rest}


END = failing("end")

BUDGETS = {"with_budget": "0.000035", "on_a_child": "0.000010"}
"""In US dollars. The ceiling of each paid step is 10 millionths (see vendor.py)."""

CHILDREN: dict[str, Node] = {"on_a_child": {"sequence": [pay("first"), pay("second")]}}
"""Definitions that only samples start."""

SAMPLES: dict[str, Node] = {
    "in_chain": {"sequence": [undone("a"), pay("pay"), noop("b"), noop("c"), END]},
    "in_parallel": {
        "sequence": [
            {
                "parallel": "p",
                "branches": [
                    pay("pay"),
                    {"sequence": [job("job"), noop("after")]},
                    undone("beside"),
                ],
            },
            END,
        ]
    },
    "in_map": {"sequence": [mapped({"sequence": [pay("pay"), noop("after")]}), END]},
    "in_collecting_map": {
        "sequence": [
            mapped(
                {
                    "sequence": [
                        {"parallel": "both", "branches": [pay("pay"), undone("beside")]},
                        noop("after"),
                    ]
                },
                on_item_failure="collect",
            ),
            END,
        ]
    },
    "of_siblings": {
        "sequence": [
            {"parallel": "p", "branches": [noop("x"), undone("y"), noop("z")]},
            mapped(noop("leaf", n={"$": "item"})),
            mapped(failing("bad", "item == `3`"), map="n", on_item_failure="collect"),
            END,
        ]
    },
    "in_turns": {
        "sequence": [
            {
                "loop": "turns",
                "max": 3,
                "until": "index == `1`",
                "do": {
                    "choice": "way",
                    "cases": [{"when": "index == `0`", "do": pay("pay")}],
                    "otherwise": {"sequence": [pay("other", on_failure="skip"), undone("note")]},
                },
            },
            END,
        ]
    },
    "with_people": {
        "sequence": [
            undone("a"),
            {"wait": "pause", "for": "1h"},
            {"approval": "review", "timeout": "7d", "on_reject": "go_on"},
            END,
        ]
    },
    "with_child": {
        "sequence": [
            {"workflow": "child", "type": "in_chain", "with": {"fails": False}},
            noop("after"),
            END,
        ]
    },
    "with_budget": {
        "sequence": [
            {
                "parallel": "p",
                "branches": [
                    pay("pay"),
                    {"sequence": [job("job"), noop("after")]},
                    {"workflow": "child", "type": "in_chain", "with": {"fails": False}},
                    {"workflow": "poor", "type": "on_a_child", "on_failure": "skip"},
                ],
            },
            pay("last"),
            END,
        ]
    },
    "with_pivot": {
        "sequence": [
            pay("first"),
            {
                "parallel": "p",
                "branches": [
                    pay("publish", pivot=True),
                    {"sequence": [noop("x"), noop("y")]},
                    failing("bad"),
                ],
            },
            noop("z"),
        ]
    },
}
