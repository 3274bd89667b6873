"""Evaluates the expressions of steps; what is heavy in a child process (app/aside).

Python's lock is held while an expression is evaluated, so all other threads of the process wait.
What proves to be heavy therefore breaks off, and is evaluated from its start by the child, which
gives way to all other processes of the machine. If the child cannot do it, this process does.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from app.aside.child import Child, Failed, TookTooLong
from app.errors import Unavailable
from app.platform import Json
from chains.language import expressions
from chains.language.evaluation import MAX_WORK, Heavy, Meter
from chains.language.expressions import ExpressionInvalid
from chains.running import effort

AT_ONCE_WORK = 20_000
"""Units of work that are done at once, about 20 ms (see chains.language.evaluation)."""
MAX_MEMORY = 2**30
"""For the child. A value has at most a size of 16 MB, and the data that it reads as much again."""

_CPU_SECONDS = 30.0
"""The work of an expression is bounded and takes about a second, so this ends only what hangs."""

_child = Child("chains.running.evaluating")


@dataclass(frozen=True)
class _Aside:
    tell: Callable[[], None]
    at_once: int


_ASIDE: ContextVar[_Aside | None] = ContextVar("aside", default=None)


@contextmanager
def heavy_aside(
    tell: Callable[[], None] = lambda: None, *, are_known: bool = False
) -> Iterator[None]:
    """A context in which this thread has its heavy expressions evaluated by the child.

    `tell` is called before. What it raises ends the evaluation. `are_known`: the expressions were
    heavy before, so they are not tried here first.
    """
    token = _ASIDE.set(_Aside(tell, 0 if are_known else AT_ONCE_WORK))
    try:
        yield
    finally:
        _ASIDE.reset(token)


def render(template: Any, scope: Json) -> Any:
    """The template with its references replaced (see chains.language.expressions)."""
    return _evaluated("render", template, scope)


def holds(condition: str, scope: Json) -> bool:
    """Whether a condition is true in `scope` (see chains.language.expressions)."""
    return bool(_evaluated("holds", condition, scope))


def first_that_holds(conditions: Sequence[str | None], scope: Json) -> int | None:
    """The number of the first condition that is true, from 0. None is a condition that is true.

    Returns None if no condition is. Raises ExpressionInvalid like `holds`.
    """
    found: int | None = _evaluated("first_that_holds", conditions, scope)
    return found


def _first_that_holds(
    conditions: Sequence[str | None], scope: Mapping[str, Any], meter: Meter
) -> int | None:
    numbered = enumerate(conditions)
    is_true = (n for n, each in numbered if each is None or expressions.holds(each, scope, meter))
    return next(is_true, None)


_EVALUATIONS: dict[str, Callable[[Any, Mapping[str, Any], Meter], Any]] = {
    "render": expressions.render,
    "holds": expressions.holds,
    "first_that_holds": _first_that_holds,
}


def _evaluated(job: str, given: Any, scope: Json) -> Any:
    aside = _ASIDE.get()
    if aside is None:
        return _evaluated_here(job, given, scope, Meter())
    try:
        return _evaluated_here(job, given, scope, Meter(at_once=aside.at_once))
    except Heavy:
        aside.tell()
    try:
        return _evaluated_aside(job, given, scope)
    except Unavailable:
        return _evaluated_here(job, given, scope, Meter())


def _evaluated_here(job: str, given: Any, scope: Json, meter: Meter) -> Any:
    try:
        return _EVALUATIONS[job](given, scope, meter)
    finally:
        effort.count(meter)


def _evaluated_aside(job: str, given: Any, scope: Json) -> Any:
    """Raises ExpressionInvalid as the evaluation does, and Unavailable if no child can do it."""
    data = json.dumps([given, scope]).encode()
    effort.count_aside(len(data), MAX_WORK)
    try:
        reason, made = _child.run(job, {}, data, cpu_seconds=_CPU_SECONDS)
    except (TookTooLong, Failed) as err:
        raise ExpressionInvalid(
            "this takes too much work or memory; read fewer values or nest fewer projections"
        ) from err
    if reason is not None:
        raise ExpressionInvalid(reason)
    return json.loads(made)


def _job(job: str) -> Callable[[Json, bytes], tuple[str | None, bytes]]:
    """What the child does: its answer is the reason why the expression is invalid, if it is."""

    def run(_: Json, data: bytes) -> tuple[str | None, bytes]:
        given, scope = json.loads(data)
        try:
            return None, json.dumps(_EVALUATIONS[job](given, scope, Meter())).encode()
        except ExpressionInvalid as err:
            return str(err), b""

    return run


JOBS = {name: _job(name) for name in _EVALUATIONS}
