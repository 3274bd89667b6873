"""The tools of a response: functions, and no others."""

from __future__ import annotations

from typing import Any

from ops.sandbox.openai import wire
from ops.sandbox.openai.writing.functions import Choice, Function, check_all, found
from ops.sandbox.store import Json

_UNBUILT = ("allowed_callers", "async", "defer_loading", "output_schema")
_ALLOWED = "allowed_tools"


def functions_of(given: Json, model: str) -> tuple[Function, ...]:
    """Return the functions among the tools; raise OpenAI's error for a tool that is not built."""
    made = []
    for number, tool in enumerate(given.get("tools") or []):
        at = f"tools[{number}]"
        if tool["type"] != "function":
            message = f"Hosted tool '{tool['type']}' is not supported with {model}."
            raise wire.unsupported("tools", message)
        for name in _UNBUILT:
            if tool.get(name):
                raise wire.unsupported(f"{at}.{name}")
        made.append(Function(tool["name"], tool.get("parameters"), bool(tool.get("strict")), at))
    check_all(made)
    return tuple(made)


def choice_of(given: Json, functions: tuple[Function, ...]) -> Choice:
    """Return which functions may be called; raise OpenAI's error for an unknown one."""
    asked: Any = given.get("tool_choice") or "auto"
    if isinstance(asked, str):
        if asked == "required" and not functions:
            message = "Tool choice 'required' must be specified with 'tools' parameter."
            raise wire.error(400, message, "tool_choice")
        return Choice(asked, functions)
    kind = asked.get("type")
    if kind == "function":
        return Choice("required", (found(functions, asked["name"]),), is_named=True)
    if kind == _ALLOWED:
        allowed = [_allowed(functions, each) for each in asked["tools"]]
        if not allowed:
            wire.empty_list("tool_choice.tools")
        return Choice(asked["mode"], tuple(allowed))
    raise wire.unsupported_value("tool_choice.type", kind, ["function", _ALLOWED])


def _allowed(functions: tuple[Function, ...], tool: Json) -> Function:
    if tool.get("type") != "function":
        raise wire.unsupported_value("tool_choice.tools", tool.get("type"), ["function"])
    return found(functions, tool.get("name"))


def shown(tools: list[Json]) -> list[Json]:
    """Return tools as a response shows them."""
    return [{"description": None, **each} for each in tools]
