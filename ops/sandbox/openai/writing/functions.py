"""Functions that a model of the imitated OpenAI may call: their rules, and which of them it calls.

A function is called if the request demands it, if the setting `openai.calls` has its name, or if
the prompt has it. The arguments fit the schema of its parameters. Once the outputs are given, the
model writes, unless a function is demanded by its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ops.sandbox.openai import wire
from ops.sandbox.openai.writing import schemas
from ops.sandbox.store import Json

MOST = 128


@dataclass(frozen=True)
class Function:
    """A function of a request, and the path of its definition, such as `tools[0].function`."""

    name: str
    parameters: Json | None
    is_strict: bool
    at: str

    def check(self) -> None:
        """Raise OpenAI's error if the name or the schema of the parameters is not allowed."""
        schemas.named(f"{self.at}.name", self.name)
        if self.parameters:
            schemas.checked(
                self.parameters,
                f"function '{self.name}'",
                f"{self.at}.parameters",
                "invalid_function_parameters",
                is_strict=self.is_strict,
            )

    def arguments(self, prompt: str) -> str:
        """Return the arguments of a call, as JSON."""
        return json.dumps(
            schemas.filled(self.parameters or {"type": "object"}, prompt or self.name)
        )


@dataclass(frozen=True)
class Choice:
    """Which functions may be called: `mode` is `none`, `auto` or `required`; `is_named` if one is
    demanded by its name."""

    mode: str
    functions: tuple[Function, ...]
    is_named: bool = False


def check_all(functions: Sequence[Function]) -> None:
    """Raise OpenAI's error for the first function that is not allowed."""
    wire.long_list("tools", functions, MOST)
    for each in functions:
        each.check()


def found(functions: Sequence[Function], name: object) -> Function:
    """Return the function that a `tool_choice` names."""
    for each in functions:
        if each.name == name:
            return each
    message = f"Tool choice '{name}' not found in 'tools' parameter."
    raise wire.error(400, message, "tool_choice")


def called(
    choice: Choice, prompt: str, usual: str, *, is_parallel: bool, is_answered: bool
) -> list[Function]:
    """Return the functions that the model calls, none if it writes.

    `usual` is the setting `openai.calls`. `is_answered` says that the input ends with the outputs
    of calls.
    """
    if choice.mode == "none" or not choice.functions or (is_answered and not choice.is_named):
        return []
    wanted = [each for each in choice.functions if _is_meant(each, prompt, usual)]
    if choice.mode == "required" and not wanted:
        wanted = [choice.functions[0]]
    return wanted if is_parallel else wanted[:1]


def _is_meant(function: Function, prompt: str, usual: str) -> bool:
    is_usual = usual in ("*", function.name)
    name = re.escape(function.name)
    return is_usual or re.search(rf"(?<![\w-]){name}(?![\w-])", prompt) is not None
