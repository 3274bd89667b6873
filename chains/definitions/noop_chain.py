"""Three steps that do nothing, to measure the engine alone and to try it out."""

from chains.language.dsl import definition, sequence, step

BODY = definition(
    "noop_chain",
    sequence(
        step("first", "control.noop"),
        step("second", "control.noop"),
        step("third", "control.noop"),
    ),
)
