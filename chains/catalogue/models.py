"""The models of vendors that live definitions and schedules name in the inputs of steps: as
`model`, in the list `models` or the `route`, or as the judge of the `quality`.

A model that a workflow's own input names is known by its use (app/tariffs/in_use.py).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from app import db
from chains import registry
from chains.actions import actions
from chains.language.definition import Definition, OtherAction, Step
from chains.language.expressions import render
from chains.language.tree import nodes

log = structlog.get_logger()

FIELD, _LIST = "model", "models"
_FIELDS = (FIELD, _LIST, "route", "quality")
_OF_MODELS = ("constants", "rename")
"""What a model is given, which may have any names."""
_MOST_SCHEDULES = 1_000
# A version counts while workflows may start with it, or still run.
_LIVE = """
SELECT d.name, d.version FROM definitions AS d
 WHERE d.active OR d.weight > 0
    OR (d.name, d.version) IN (SELECT type, version FROM workflows WHERE completed_at IS NULL)
"""
_INPUTS = """
SELECT input FROM schedules WHERE type = %s AND fires_at IS NOT NULL ORDER BY fires_at LIMIT %s
"""


def named() -> set[tuple[str, str]]:
    """Each platform with a model. Of a type's schedules, the first thousand to fire are read."""
    found: set[tuple[str, str]] = set()
    for row in db.rows(_LIVE, ()):
        try:
            definition = registry.definition(row["name"], row["version"])
        except (LookupError, ValueError) as err:
            # It is of another release, or was deleted meanwhile.
            log.warning("models.definition_not_read", **row, error=type(err).__name__)
            continue
        found |= set(_of(definition))
    return found


def _of(definition: Definition) -> Iterator[tuple[str, str]]:
    chosen = [*_chosen(definition)]
    yield from ((platform, model) for platform, model in chosen if isinstance(model, str))
    open_ones = [each for each in chosen if not isinstance(each[1], str)]
    if not open_ones:
        return
    for row in db.rows(_INPUTS, (definition.name, _MOST_SCHEDULES)):
        for platform, reference in open_ones:
            model = _rendered(reference, row["input"])
            if isinstance(model, str):
                yield platform, model


def _chosen(definition: Definition) -> Iterator[tuple[str, Any]]:
    """Each platform with what a step gives as its `model`: a name, or a reference to one."""
    known = actions()
    for step in (each.node for each in nodes(definition) if isinstance(each.node, Step)):
        for each in (step, step.compensation):
            if not isinstance(each, Step | OtherAction) or each.action not in known:
                continue
            taken = known[each.action].input
            for field in _FIELDS:
                if field in taken.model_fields and each.with_.get(field) is not None:
                    for value in _named_in(field, each.with_[field]):
                        yield known[each.action].platform, value


def _named_in(field: str, value: Any) -> Iterator[Any]:
    """What is named as a model in the value of a field, at any depth."""
    if field == FIELD:
        yield value
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict):
                yield from _named_in("", each)
            elif field == _LIST:
                yield each
    elif isinstance(value, dict):
        for inner, each in value.items():
            if inner not in _OF_MODELS:
                yield from _named_in(inner, each)


def _rendered(reference: Any, given: Mapping[str, Any]) -> Any:
    try:
        return render(reference, {"input": given})
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
        return None  # it depends on more than the input
