"""Definitions that use the foreign action."""

from typing import Any

Json = dict[str, Any]

PRINT: Json = {
    "step": "print",
    "action": "pressroom.print",
    "with": {"text": {"$": "input.text"}, "copies": 2},
}
POSTERS: Json = {
    "name": "posters",
    "input_schema": {
        "type": "object",
        "required": ["text"],
        "properties": {"text": {"type": "string"}},
    },
    "do": PRINT,
    "output": {"proof": {"$": "steps.print.output.proof"}},
}
POSTERS_THAT_FAIL: Json = {
    **{name: POSTERS[name] for name in ("input_schema",)},
    "name": "posters_that_fail",
    "do": {"sequence": [PRINT, {"step": "hang", "action": "control.fail"}]},
}
