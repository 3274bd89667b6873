"""Workflow types of the mix beside those that ship, as JSON bodies.

Invariant: their own waits are far shorter than the time that a run waits for its end.
"""

from typing import Any

from tests.chaos import limits

Json = dict[str, Any]

_OBJECT: Json = {"type": "object"}
_PAYER: Json = {
    "customer_email": {"$": "input.customer_email"},
    "payment_method": "pm_card_visa",
    "amount": 1900,
    "currency": "eur",
}
_AUTHORIZE: Json = {"step": "authorize", "action": "stripe.authorize", "with": _PAYER}
_CAPTURE: Json = {
    "step": "capture",
    "action": "stripe.capture",
    "with": {"payment_intent": {"$": "steps.authorize.output.payment_intent"}},
}
_FAIL: Json = {"step": "give_up", "action": "control.fail", "with": {"message": "as planned"}}
_NAP: Json = {"action": "control.sleep", "with": {"seconds": {"$": "input.seconds"}}}
_CHILD: Json = {
    "workflow": "payment",
    "type": "chaos_paid",
    "with": {"customer_email": {"$": "input.customer_email"}},
}
_ARTIFACT: Json = {"type": "string", "artifact": True}

NAPS: Json = {
    "name": "chaos_naps",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            {"parallel": "naps", "branches": [{"step": f"nap_{n}", **_NAP} for n in range(3)]},
            {"step": "awake", "action": "control.noop"},
        ]
    },
}
FAN: Json = {
    "name": "chaos_fan",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            {
                "parallel": "begin",
                "branches": [{"step": f"begin_{n}", "action": "control.noop"} for n in range(30)],
            },
            {
                "map": "each",
                "over": {"$": "input.items"},
                "max_concurrency": 3,
                "do": {
                    "sequence": [
                        {
                            "step": "look",
                            "action": "control.noop",
                            "with": {"item": {"$": "item"}},
                        },
                        {"step": "rest", "action": "control.sleep", "with": {"seconds": 0.3}},
                    ]
                },
            },
            {
                "map": "again",
                "over": {"$": "steps.each.output"},
                "max_concurrency": 2,
                "do": {"step": "quick", "action": "control.noop", "with": {"item": {"$": "item"}}},
            },
        ]
    },
    "output": {"looked": {"$": "steps.again.output"}},
}
PAID: Json = {
    "name": "chaos_paid",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            _AUTHORIZE,
            {
                "parallel": "meanwhile",
                "branches": [
                    {"step": "think", "action": "control.noop"},
                    {"step": "rest", "action": "control.sleep", "with": {"seconds": 0.5}},
                ],
            },
            _CAPTURE,
        ]
    },
    "output": {"receipt": {"$": "steps.capture.output"}},
}
PAID_FAILS: Json = {
    "name": "chaos_paid_fails",
    "input_schema": _OBJECT,
    "do": {"sequence": [_AUTHORIZE, _CAPTURE, _FAIL]},
}
CHANNEL_FAILS: Json = {
    "name": "chaos_channel_fails",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            {"step": "open", "action": "agora.open_channel"},
            {"step": "rest", "action": "control.sleep", "with": {"seconds": 1.5}},
            _FAIL,
        ]
    },
}
PICTURES_FAIL: Json = {
    "name": "chaos_pictures_fail",
    "input_schema": {
        "type": "object",
        "properties": {"source": _ARTIFACT, "targets": {"type": "array", "items": _ARTIFACT}},
    },
    "do": {
        "sequence": [
            _AUTHORIZE,
            {
                "map": "swap",
                "over": {"$": "input.targets"},
                "do": {
                    "step": "render",
                    "action": "replicate.predict",
                    "with": {"source": {"$": "input.source"}, "target": {"$": "item"}},
                },
            },
            _FAIL,
        ]
    },
}
NESTED: Json = {
    "name": "chaos_nested",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            {
                "map": "rows",
                "over": {"$": "input.rows"},
                "max_concurrency": 2,
                "do": {
                    "sequence": [
                        {
                            "map": "cells",
                            "over": {"$": "item"},
                            "max_concurrency": 3,
                            "do": {
                                "step": "look",
                                "action": "control.noop",
                                "with": {"cell": {"$": "item"}},
                            },
                        },
                        {"step": "rest", "action": "control.sleep", "with": {"seconds": 0.3}},
                    ]
                },
            },
            {"step": "end", "action": "control.noop"},
        ]
    },
}
WAYS: Json = {
    "name": "chaos_ways",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            {
                "choice": "way",
                "cases": [
                    {"when": "input.number > `6`", "do": _AUTHORIZE},
                    {
                        "when": "input.number > `3`",
                        "do": {
                            "loop": "turns",
                            "until": "index >= `2`",
                            "max": 5,
                            "do": {
                                "sequence": [
                                    {
                                        "step": "attempt",
                                        "action": "control.noop",
                                        "with": {"turn": {"$": "index"}},
                                    },
                                    {
                                        "step": "rest",
                                        "action": "control.sleep",
                                        "with": {"seconds": 0.2},
                                    },
                                ]
                            },
                        },
                    },
                ],
                "otherwise": {"wait": "moment", "for": "3s"},
            },
            {"step": "end", "action": "control.noop", "when": "input.number != `5`"},
        ]
    },
}
APPROVED: Json = {
    "name": "chaos_approved",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            _AUTHORIZE,
            {
                "approval": "go",
                "signal": "go",
                "timeout": "30s",
                "on_timeout": "go_on",
                "on_reject": "go_on",
            },
            _CAPTURE,
        ]
    },
}
PARENT: Json = {
    "name": "chaos_parent",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            _CHILD,
            {"wait": "moment", "for": "2s"},
            {"step": "end", "action": "control.noop"},
        ]
    },
}
PARENT_FAILS: Json = {
    "name": "chaos_parent_fails",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            _CHILD,
            _FAIL,
        ]
    },
}
RENDERED: Json = {
    "name": "chaos_rendered",
    "input_schema": {
        "type": "object",
        "properties": {"source": _ARTIFACT, "target": _ARTIFACT},
    },
    "do": {
        "step": "render",
        "action": "replicate.predict",
        "with": {"source": {"$": "input.source"}, "target": {"$": "input.target"}},
    },
}
# A prediction reserves 0.0585 dollars and a caption less than 0.02: no two predictions fit into the
# budget at the same time, so that the children wait for each other. All cost less than a cent.
BUDGETED: Json = {
    "name": "chaos_budgeted",
    "input_schema": {
        "type": "object",
        "properties": {"source": _ARTIFACT, "targets": {"type": "array", "items": _ARTIFACT}},
    },
    "do": {
        "parallel": "paid",
        "branches": [
            {
                "step": "caption",
                "action": "openai.caption",
                "with": {"brief": "A summer day.", "cache": False},
            },
            {
                "map": "pictures",
                "over": {"$": "input.targets"},
                "do": {
                    "workflow": "picture",
                    "type": "chaos_rendered",
                    "with": {"source": {"$": "input.source"}, "target": {"$": "item"}},
                },
            },
        ],
    },
    "budget_usd": "0.09",
}
PENNILESS: Json = {
    "name": "chaos_penniless",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            {"step": "free", "action": "control.noop"},
            {
                "step": "caption",
                "action": "openai.caption",
                "with": {"brief": "A winter day.", "cache": False},
            },
        ]
    },
    "budget_usd": "0",
}
# What schedules and events start (see starts.py).
BEGUN: Json = {
    "name": "chaos_begun",
    "input_schema": _OBJECT,
    "do": {
        "sequence": [
            {"step": "rest", "action": "control.sleep", "with": {"seconds": 0.5}},
            {"step": "end", "action": "control.noop"},
        ]
    },
}
LIMITED: Json = {
    "name": limits.TYPE,
    "input_schema": _OBJECT,
    "flow": {
        "concurrency": [
            {"limit": limits.MOST},
            {"limit": limits.MOST_OF_A_SHOP, "key": "input.shop"},
        ]
    },
    "do": {
        "sequence": [
            {"step": "rest", "action": "control.sleep", "with": {"seconds": 4.0}},
            {"step": "end", "action": "control.noop"},
        ]
    },
}
ALL: tuple[Json, ...] = (
    NAPS,
    FAN,
    PAID,
    PAID_FAILS,
    CHANNEL_FAILS,
    PICTURES_FAIL,
    NESTED,
    WAYS,
    APPROVED,
    PARENT,
    PARENT_FAILS,
    RENDERED,
    BUDGETED,
    PENNILESS,
    BEGUN,
    LIMITED,
)
"""With kinds of node that an engine may not know yet; children stand behind what they start."""
