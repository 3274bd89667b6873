"""What the types of Stripe's SDK say of parameters and objects, read from the SDK's source.

The types cannot be evaluated: they name classes that are imported for type checkers only.

`parameters` gives a schema: `int`, `float`, `bool`, `str`, a list of the values of an enumeration,
`{"*": x}` a list, `{"**": x}` a mapping, `{"?": x}` also the empty text, `{"|": [...]}` either, and
else a hash of fields; a field that must be given ends in `!`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import stripe

ROOT = Path(stripe.__file__).parent
_SCALARS = {"int": "int", "float": "float", "bool": "bool", "str": "str", "Decimal": "decimal"}


@cache
def _classes(path: Path) -> dict[str, ast.ClassDef]:
    tree = ast.parse(path.read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def parameters(name: str) -> dict[str, Any]:
    """Return the schema of a call's parameters, such as `checkout/session_create`."""
    folder, _, last = name.rpartition("/")
    classes = _classes(ROOT / "params" / folder / f"_{last}_params.py")
    return _fields(next(iter(classes.values())), classes)


def _fields(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in node.body:
        if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
            continue
        name, annotation = each.target.id, _parsed(each.annotation)
        optional = _head(annotation) == "NotRequired"
        if name != "expand":
            inner = _schema(_arguments(annotation)[0] if optional else annotation, classes)
            found[name if optional else f"{name}!"] = inner
    # A name that is a keyword of Python is declared by a call of TypedDict.
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            found |= _fields(classes[base.id], classes)
    return found


def _schema(node: ast.expr, classes: dict[str, ast.ClassDef]) -> Any:
    node = _parsed(node)
    head = _head(node)
    if head in _SCALARS:
        return _SCALARS[head]
    if head == "Literal":
        return [ast.literal_eval(each) for each in _arguments(node)]
    if head in ("List", "list"):
        return {"*": _schema(_arguments(node)[0], classes)}
    if head in ("Dict", "dict"):
        return {"**": _schema(_arguments(node)[1], classes)}
    if head in ("Union", "|"):
        return _either([_schema(each, classes) for each in _branches(node)])
    if head in classes:
        return _fields(classes[head], classes)
    return "any"


def _either(options: list[Any]) -> Any:
    kept = [each for each in options if each not in ([""], "any")]
    if "str" in kept and any(isinstance(each, list) for each in kept):
        kept = [each for each in kept if each != "str"]
    kept = [each for number, each in enumerate(kept) if each not in kept[:number]]
    inner = kept[0] if len(kept) == 1 else {"|": kept} if kept else "any"
    return {"?": inner} if [""] in options else inner


def _branches(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [*_branches(node.left), *_branches(node.right)]
    return _arguments(node) if _head(node) == "Union" else [node]


def _parsed(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        return ast.parse(node.value, mode="eval").body
    return node


def _head(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return "|"
    if isinstance(node, ast.Subscript):
        return _head(node.value)
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def _arguments(node: ast.expr) -> list[ast.expr]:
    assert isinstance(node, ast.Subscript), ast.unparse(node)
    inner = node.slice
    return list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]


def object_fields(module: str) -> dict[str, Any]:
    """Return the fields of an object, from the class of `stripe._MODULE` (or `checkout/session`).

    The value is `None` if the field may be null or lacking, a mapping of fields if it is a hash
    of its own, and else the text of its type.
    """
    folder, _, last = module.rpartition("/")
    classes = _classes(ROOT / folder / f"_{last}.py")
    wanted = next(node for node in classes.values() if _has_fields(node))
    return _object(wanted)


def _has_fields(node: ast.ClassDef) -> bool:
    return any(isinstance(each, ast.AnnAssign) for each in node.body)


def _object(node: ast.ClassDef) -> dict[str, Any]:
    inner = {each.name: each for each in node.body if isinstance(each, ast.ClassDef)}
    found: dict[str, Any] = {}
    for each in node.body:
        if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
            continue
        head = _head(_parsed(each.annotation))
        if head == "ClassVar":
            continue
        name = each.target.id.rstrip("_") if each.target.id != "_" else each.target.id
        if head == "Optional":
            found[name] = None
        elif head in inner:
            found[name] = _object(inner[head])
        else:
            found[name] = ast.unparse(each.annotation)
    return found


def thin_events() -> Iterator[tuple[str, str]]:
    """Return the name of each thin event, and whether it names an `object`, a `singleton` or
    `nothing`."""
    for path in (ROOT / "events").glob("_v[12]_*_event.py"):
        text = path.read_text()
        name = re.search(r'LOOKUP_TYPE = "([^"]+)"', text) or re.search(r'"(v[12]\.[^"]+)"', text)
        assert name is not None, path
        kinds = {"object": ": RelatedObject", "singleton": ": RelatedSingletonObject"}
        yield name[1], next((kind for kind, mark in kinds.items() if mark in text), "nothing")
