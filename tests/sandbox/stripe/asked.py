"""Compares requests with the types that Stripe's SDK has for the parameters of each call.

The SDK's services say with which method and path a call is made (`_refund_service.py`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from ops.sandbox.stripe.resources.described import typed
from ops.sandbox.stripe.wire import parse_form
from ops.sandbox.wire import Refusal
from tests.sandbox.stripe import sdk


def faults_of_request(method: str, url: str, body: str) -> list[str]:
    """What the SDK's types refuse in a request with a form as its body.

    A call that the SDK does not have is not checked: `unchecked.md` lists those.
    """
    parts = urlsplit(url)
    name = parameters_of(method, parts.path)
    if name is None:
        return []
    given: dict[str, Any] = parse_form(parts.query) | parse_form(body)
    given.pop("expand", None)
    try:
        typed(given, sdk.parameters(name))
    except Refusal as err:
        return [f"{method} {parts.path}: {err.response().get_data(as_text=True)}"]
    return []


def parameters_of(method: str, path: str) -> str | None:
    """The name of a call in `sdk.parameters`; None if the SDK has no such call."""
    found = [name for verb, form, name in _calls() if verb == method.upper() and form.match(path)]
    return found[0] if found else None


@cache
def _calls() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Method, pattern of the path and module of the parameters of each call; paths without a
    variable part first, as in `/v1/charges/search` and `/v1/charges/{charge}`."""
    found = sorted(_read(), key=lambda each: each[1].count("{"))
    return tuple(
        (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$"), name)
        for method, path, name in found
    )


def _read() -> Iterator[tuple[str, str, str]]:
    for path in sdk.ROOT.rglob("_*_service.py"):
        text = path.read_text()
        if '"/v1/' not in text:
            continue
        tree = ast.parse(text)
        modules = {
            alias.name: node.module.removeprefix("stripe.params").replace(".", "/")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stripe.params")
            for alias in node.names
            if node.module
        }
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and (call := _call_of(function)):
                kind = next(
                    (
                        k
                        for k in modules
                        if f'"{k}"' in ast.unparse(function.args).replace("'", '"')
                    ),
                    None,
                )
                if kind is not None:
                    module = modules[kind].lstrip("/")
                    folder, _, last = module.rpartition("/")
                    name = last.removeprefix("_").removesuffix("_params")
                    yield (*call, f"{folder}/{name}" if folder else name)


def _call_of(function: ast.FunctionDef) -> tuple[str, str] | None:
    """The method and the path of the request that a service's function makes."""
    for node in ast.walk(function):
        is_request = isinstance(node, ast.Call) and ast.unparse(node.func) == "self._request"
        if isinstance(node, ast.Call) and is_request and len(node.args) >= 2:
            texts = [
                each.value
                for argument in node.args[:2]
                for each in ast.walk(argument)
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
            method, path = texts[0], next(each for each in texts[1:] if each.startswith("/v"))
            return method.upper(), path
    return None
