"""Three steps that do nothing: the cost of the engine itself, and a first look at it."""

BODY = {
    "name": "noop_chain",
    "do": {
        "sequence": [
            {"step": "first", "action": "control.noop"},
            {"step": "second", "action": "control.noop"},
            {"step": "third", "action": "control.noop"},
        ]
    },
}
