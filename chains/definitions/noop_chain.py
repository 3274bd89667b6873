"""Three steps that do nothing: the cost of the engine itself, and a first look at it."""

from chains.language.dsl import definition, sequence, step

BODY = definition(
    "noop_chain",
    sequence(
        step("first", "control.noop"),
        step("second", "control.noop"),
        step("third", "control.noop"),
    ),
)
