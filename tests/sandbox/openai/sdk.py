"""What the types of OpenAI's SDK say of the parameters of a call.

`schema` gives `str`, `int`, `float`, `bool`, `file`, `any`, a list of the values of an enumeration,
`{"*": x}` a list, `{"**": x}` a mapping, `{"?": x}` also null, `{"|": [...]}` either, `{"$": name}`
a type of its own, and for that type a hash of fields; a field that must be given ends in `!`.
"""

from __future__ import annotations

import importlib
import types
import typing
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

_SCALARS: dict[Any, str] = {str: "str", int: "int", float: "float", bool: "bool"}
_LISTS = ("list", "Iterable", "Sequence", "SequenceNotStr")
_MAPPINGS = ("dict", "Mapping")


class Described:
    """The schemas of calls, and of the types that they name."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = {}

    def call(self, place: str) -> dict[str, Any]:
        """Return the parameters of a call, such as `batch_create_params.BatchCreateParams`.

        Where the type is one of several, such as for calls with and without a stream, a parameter
        of any of them is known, and one that all of them demand must be given.
        """
        module, _, name = place.rpartition(".")
        found = getattr(importlib.import_module(f"openai.types.{module}"), name)
        variants = [self._fields(each) for each in (get_args(found) or (found,))]
        names = list(dict.fromkeys(name.rstrip("!") for each in variants for name in each))
        merged: dict[str, Any] = {}
        for each in names:
            is_needed = all(f"{each}!" in variant for variant in variants)
            kinds = [
                variant[key] for variant in variants for key in (each, f"{each}!") if key in variant
            ]
            merged[f"{each}!" if is_needed else each] = _either(kinds)
        return merged

    def schema(self, kind: Any) -> Any:
        """Return the schema of a type."""
        origin: Any = get_origin(kind)
        inner = get_args(kind)
        if kind in _SCALARS:
            return _SCALARS[kind]
        if is_typeddict(kind):
            return {"$": self._named(kind)}
        if origin is typing.Annotated or origin in (Required, NotRequired):
            return self.schema(inner[0])
        if origin is Literal:
            return "bool" if set(inner) <= {True, False} else list(inner)
        if origin in (Union, types.UnionType):
            return self._union(inner)
        name = getattr(origin, "__name__", "")
        if name in _LISTS:
            return {"*": self.schema(inner[0])}
        if name in _MAPPINGS:
            return {"**": self.schema(inner[1])}
        return "any"

    def _union(self, inner: tuple[Any, ...]) -> Any:
        # What is a file is bytes, a path, something to read, or a tuple with one of these.
        if bytes in inner:
            kinds = ["file", *(self.schema(each) for each in inner if get_origin(each) is not None)]
            return _either([each for each in kinds if each == "file" or _is_of_files(each)])
        kinds = [self.schema(each) for each in inner if each is not type(None)]
        found = _either(kinds)
        return {"?": found} if type(None) in inner and found != "any" else found

    def _named(self, kind: Any) -> str:
        name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
        if name not in self.types:
            self.types[name] = {}  # A type may have fields of its own type.
            self.types[name] = self._fields(kind)
        return name

    def _fields(self, kind: Any) -> dict[str, Any]:
        found = {}
        for name, hint in get_type_hints(kind, include_extras=True).items():
            origin: Any = get_origin(hint)
            found[f"{name}!" if origin is Required else name] = self.schema(hint)
        return found


def _is_of_files(schema: Any) -> bool:
    return bool(schema == {"*": "file"})


def _either(kinds: list[Any]) -> Any:
    """Return one schema for any of these; what a wider one includes is left out."""
    is_optional = any(isinstance(each, dict) and "?" in each for each in kinds)
    flat: list[Any] = []
    for each in kinds:
        plain = each["?"] if isinstance(each, dict) and "?" in each else each
        flat += plain["|"] if isinstance(plain, dict) and "|" in plain else [plain]
    if "any" in flat:
        return "any"
    if "str" in flat:
        flat = [each for each in flat if not isinstance(each, list)]
    values = [value for each in flat if isinstance(each, list) for value in each]
    first = next((at for at, each in enumerate(flat) if isinstance(each, list)), 0)
    kept = [each for each in flat if not isinstance(each, list)]
    if values:
        kept.insert(first, list(dict.fromkeys(values)))
    kept = [each for at, each in enumerate(kept) if each not in kept[:at]]
    inner = kept[0] if len(kept) == 1 else {"|": kept}
    return {"?": inner} if is_optional else inner
