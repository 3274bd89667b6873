"""Compiles regular expressions and finds them in texts; both hold Python's lock until they end.

What takes no more than a millisecond is done in the calling process. A child process does the rest:
its jobs are below (app/aside).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

MAX_MEMORY = 512 * 2**20
"""For a child. It used 300 MB with all patterns that it keeps at their largest."""

_Engine = Literal["rust-regex", "python-re"]


def _compiled(pattern: str, engine: _Engine) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine=engine))


def refusal(pattern: str) -> str | None:
    """Why the linear engine does not take the pattern; None if it does."""
    try:
        _compiled(pattern, "rust-regex")
    except SchemaError as err:
        # The engine's message starts with the place; its last line says what is wrong.
        last = str(err).strip().splitlines()[-1].strip()
        return last.removeprefix("SchemaError: ").removeprefix("error: ")[:200]
    return None


def found_at_once(pattern: str, text: str) -> bool | None:
    """Whether a small pattern is found in the text; None if the linear engine does not take it."""
    linear = _linear(pattern)
    return None if linear is None else _found(linear, text)


@lru_cache(maxsize=1024)
def _linear(pattern: str) -> SchemaValidator | None:
    try:
        return _compiled(pattern, "rust-regex")
    except SchemaError:
        return None


def _either(pattern: str) -> SchemaValidator:
    try:
        return _compiled(pattern, "rust-regex")
    except SchemaError:
        # The definition was registered before patterns outside the linear engine were refused.
        return _compiled(pattern, "python-re")


# A large compiled pattern holds up to 7 MB.
_small = lru_cache(maxsize=1024)(_either)
_large = lru_cache(maxsize=16)(_either)


def _found(compiled: SchemaValidator, text: str) -> bool:
    try:
        compiled.validate_python(text)
    except ValidationError:
        return False
    return True


def _find(asked: Mapping[str, Any], data: bytes) -> tuple[bool, bytes]:
    compiled = (_large if asked["is_large"] else _small)(asked["pattern"])
    return _found(compiled, data.decode("utf-8", "surrogatepass")), b""


def _refuse(asked: Mapping[str, Any], _: bytes) -> tuple[str | None, bytes]:
    return refusal(asked["pattern"]), b""


JOBS = {"find": _find, "refuse": _refuse}
