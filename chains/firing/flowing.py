"""The flow control that a schedule has of its own, beside that of its definition."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from app.platform import Json
from chains import registry
from chains.actions import actions
from chains.flow.stored import flow_for
from chains.language.bounds import excess
from chains.language.faults import Fault
from chains.language.flow import Flow
from chains.language.shape import faults_of
from chains.plans.flow_rules import flow_faults

_OF_DEFINITIONS = ("debounce", "batch")


def flow_faults_of(body: Any, type: str, version: int | None) -> Iterator[Fault]:
    """The faults of the flow control of a schedule, as pairs (JSON pointer, words).

    It is checked together with that of the version that would start now. If there is no such
    version, only its shape is checked.
    """
    if body is None:
        return
    found = excess(body)
    if found is not None:
        yield f"/flow{found[0]}", found[1]
        return
    try:
        own = Flow.model_validate(body)
    except ValidationError as err:
        for place, words in faults_of(err, body):
            yield f"/flow{place}", words
        return
    for name in _OF_DEFINITIONS:
        if getattr(own, name) is not None:
            yield f"/flow/{name}", "belongs to the definition, not to one of its schedules"
            return
    definition = _definition(type, version)
    if definition is None:
        return
    flow = definition.flow
    if flow is not None and (flow.debounce is not None or flow.batch is not None):
        yield "/flow", f"does not apply: {type} gathers starts, which may come from elsewhere too"
        return
    platforms = {action.platform for action in actions().values()}
    together = flow_for(definition, own)
    assert together is not None
    yield from flow_faults(together, definition.input_schema, platforms)


def own_flow(body: Json | None) -> Flow | None:
    """The flow control of a schedule as it is stored."""
    return None if body is None else Flow.model_validate(body)


def _definition(type: str, version: int | None) -> Any:
    if version is not None:
        try:
            return registry.definition(type, version)
        except LookupError:
            return None
    found = registry.active(type)
    return None if found is None else found[1]
