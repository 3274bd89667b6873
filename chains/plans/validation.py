"""Checks a definition before it is stored, and reports all its faults with their JSON pointers.

Pure: the existing actions and workflow types are arguments. A definition that passes the checks can
be laid out as a plan, stored and read again.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from pydantic import ValidationError

from app.payload import whole_numbers
from app.platform import Action, ActionInput
from chains.language.bounds import excess
from chains.language.definition import (
    MAX_ITEMS,
    Approval,
    Child,
    Choice,
    Definition,
    Loop,
    Map,
    OtherAction,
    Retry,
    Step,
    Wait,
)
from chains.language.evaluation import Meter
from chains.language.event_filters import paths_read
from chains.language.event_patterns import EVENT_FACTS, PATTERN, PATTERN_WORDS
from chains.language.expression_rules import constant, constants_meter, expression_faults
from chains.language.expressions import MARK, expressions
from chains.language.faults import MAX_FAULTS, Fault, near, pointer, refused
from chains.language.fitting import is_reference, misfits
from chains.language.schema_rules import schema_faults_of
from chains.language.shape import faults_of
from chains.language.tree import Found, nodes
from chains.plans.asking import EMAIL, GROUP, Shown
from chains.plans.flow_rules import flow_faults
from chains.plans.layout import compile_plan
from chains.plans.plan import (
    APPROVAL,
    CHILD,
    CHOOSE,
    EVENT,
    EXPAND,
    JOIN,
    TURN,
    WAIT,
    DefinitionInvalid,
    Plan,
)
from chains.plans.prompt_rules import KnownPrompts, prompt_faults

ENGINES_OWN = frozenset({JOIN, EXPAND, CHOOSE, TURN, WAIT, EVENT, APPROVAL, CHILD})
"""Actions that the engine uses for other kinds of node; a `step` node may not use them."""

Types = Mapping[str, Mapping[int, Any]]
"""The input schemas of the workflow types that can be started, by name and then by version."""

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


def definition_of(body: Any) -> Definition:
    """Parse a body; raise DefinitionRefused, with the faults, if its size or shape is wrong."""
    too_much = excess(body)
    if too_much is not None:
        raise refused([too_much])
    if not isinstance(body, dict):
        raise refused([("", "a definition is a JSON object")])
    # Convert 1000.0 to 1000: an action that takes an integer would refuse 1000.0. The input of a
    # workflow is converted in the same way.
    body = whole_numbers(body)
    try:
        return Definition.from_body(body)
    except ValidationError as err:
        raise refused(faults_of(err, body)) from err


def examine(
    definition: Definition,
    actions: Mapping[str, Action],
    types: Types | None = None,
    prompts: KnownPrompts | None = None,
) -> Plan:
    """Check a definition and return its plan; raise DefinitionRefused, with the faults, if wrong.

    If `types` is None, the other workflow types are unknown and children are not checked. If
    `prompts` is None, the prompts are unknown and only the form of their uses is checked.
    """
    # Stop at MAX_FAULTS, so that a definition with 2,000 faults takes no longer than one with 20.
    faults = [*islice(_faults(definition, actions, types, prompts), MAX_FAULTS)]
    try:
        plan = compile_plan(definition)
    except DefinitionInvalid as err:
        if err.path not in {place for place, _ in faults}:
            faults.append((err.path, err.message))
        raise refused(faults) from err
    if faults:
        raise refused(faults)
    return plan


def _faults(
    definition: Definition,
    actions: Mapping[str, Action],
    types: Types | None,
    prompts: KnownPrompts | None,
) -> Iterator[Fault]:
    schemas = [*islice(_schema_faults(definition), MAX_FAULTS)]
    yield from schemas
    if schemas:
        return  # the checks below need valid schemas
    for found in nodes(definition):
        yield from _node_faults(found, definition, actions, types)
        for name in ("timeout", "attempt_timeout"):
            limit = getattr(found.node, name, None)
            if is_reference(limit):
                yield from _template_faults(limit, f"{found.pointer}/{name}", definition)
    if is_reference(definition.timeout):
        yield from _template_faults(definition.timeout, "/timeout", definition)
    if definition.flow is not None:
        platforms = {action.platform for action in actions.values()}
        yield from flow_faults(definition.flow, definition.input_schema, platforms)
        yield from _collected_timeout_faults(definition)
    yield from prompt_faults(definition, actions, prompts)
    yield from _constant_faults(definition)
    yield from _template_faults(definition.output, "/output", definition)
    if definition.output_schema is not None:
        yield from misfits(definition.output, definition.output_schema, "/output")


def _collected_timeout_faults(definition: Definition) -> Iterator[Fault]:
    if (
        definition.flow is not None
        and definition.flow.collects
        and is_reference(definition.timeout)
    ):
        yield "/timeout", "must be a duration: the items of a batch may say different ones"


def _schema_faults(definition: Definition) -> Iterator[Fault]:
    yield from schema_faults_of(definition.input_schema, "/input_schema")
    if definition.output_schema is not None:
        yield from schema_faults_of(definition.output_schema, "/output_schema")


def _node_faults(
    found: Found, definition: Definition, actions: Mapping[str, Action], types: Types | None
) -> Iterator[Fault]:
    node, at = found.node, found.pointer
    match node:
        case Step():
            yield from _step_faults(node, at, actions)
            yield from _template_faults(node.with_, f"{at}/with", definition)
            if isinstance(node.compensation, OtherAction):
                place = f"{at}/compensation"
                yield from _action_faults(node.compensation, place, actions)
                yield from _template_faults(node.compensation.with_, f"{place}/with", definition)
        case Map():
            yield from _template_faults(node.over, f"{at}/over", definition)
        case Choice():
            yield from _case_faults(node, at, definition)
        case Wait():
            yield from _wait_faults(node, at, definition)
        case Approval():
            yield from _approval_faults(node, at, definition)
        case Child():
            yield from _template_faults(node.with_, f"{at}/with", definition)
            yield from _child_faults(found, node, definition, types)
        case Loop():
            yield from _condition_faults(node.until, f"{at}/until", definition)
    if getattr(node, "when", None) is not None:
        yield from _condition_faults(node.when, f"{at}/when", definition)


def _step_faults(node: Step, at: str, actions: Mapping[str, Action]) -> Iterator[Fault]:
    yield from _action_faults(node, at, actions)
    if node.retry is not None:
        yield from _retry_faults(node.retry, f"{at}/retry")
    if node.timeout is not None and node.action in actions and actions[node.action].asks_people:
        yield f"{at}/timeout", f"{node.action} waits for people for as long as its input says"
    if isinstance(node.attempt_timeout, float):
        action = actions.get(node.action)
        if action is not None and node.attempt_timeout > action.attempt_seconds:
            longest = f"{action.attempt_seconds:g} s"
            words = f"{node.action} bounds an attempt to {longest}; give {longest} at most"
            yield f"{at}/attempt_timeout", words
        if isinstance(node.timeout, float) and node.timeout < node.attempt_timeout:
            yield f"{at}/timeout", "is shorter than attempt_timeout, which bounds each attempt"


def _action_faults(
    node: Step | OtherAction, at: str, actions: Mapping[str, Action]
) -> Iterator[Fault]:
    usable = actions.keys() - ENGINES_OWN
    if node.action in ENGINES_OWN:
        yield f"{at}/action", f"{node.action} belongs to the engine; use its kind of node instead"
    elif node.action not in usable:
        hint = near(node.action, usable) or f"; there are: {', '.join(sorted(usable))}"
        yield f"{at}/action", f"there is no action {node.action!r}{hint}"
    else:
        schema = _input_schema(actions[node.action].input)
        yield from misfits(node.with_, schema, f"{at}/with")


@lru_cache(maxsize=512)
def _input_schema(model: type[ActionInput]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def _retry_faults(retry: Retry, at: str) -> Iterator[Fault]:
    for number, code in enumerate(retry.on or ()):
        if not _CODE.fullmatch(code):
            yield f"{at}/on/{number}", "is not an error code such as platform_error"
    if retry.cap is not None and retry.backoff is not None and retry.cap < retry.backoff:
        yield f"{at}/cap", "is shorter than backoff, the first wait"


def _case_faults(node: Choice, at: str, definition: Definition) -> Iterator[Fault]:
    for number, case in enumerate(node.cases):
        yield from _condition_faults(case.when, f"{at}/cases/{number}/when", definition)


def _constant_faults(definition: Definition) -> Iterator[Fault]:
    """Faults of expressions whose values are known, because they read no data."""
    meter = constants_meter()
    for found in nodes(definition):
        if isinstance(found.node, Map):
            yield from _over_faults(found.node, found.pointer, meter)
        elif isinstance(found.node, Choice):
            yield from _choice_faults(found.node, found.pointer, meter)


def _over_faults(node: Map, at: str, meter: Meter) -> Iterator[Fault]:
    known = constant(node.over[MARK], meter)
    if known is not None and not isinstance(known[0], list):
        yield f"{at}/over", "is never a list"
    elif known is not None and len(known[0]) > MAX_ITEMS:
        yield f"{at}/over", f"has more than {MAX_ITEMS} items"


def _choice_faults(node: Choice, at: str, meter: Meter) -> Iterator[Fault]:
    always: int | None = None
    for number, case in enumerate(node.cases):
        if always is not None:
            yield f"{at}/cases/{number}", f"is never reached: case {always} always holds"
        elif constant(case.when, meter) == (True,):
            always = number
    if always is not None and node.otherwise is not None:
        yield f"{at}/otherwise", f"is never reached: case {always} always holds"


def _wait_faults(node: Wait, at: str, definition: Definition) -> Iterator[Fault]:
    for name, given in (("for", node.for_), ("until", node.until)):
        if is_reference(given):
            yield from _template_faults(given, f"{at}/{name}", definition)
    if isinstance(node.until, str) and not _is_instant(node.until):
        yield f"{at}/until", "must be an instant with its offset, such as 2027-01-01T09:00:00Z"
    if node.event is not None:
        if not PATTERN.fullmatch(node.event.type):
            yield f"{at}/event/type", PATTERN_WORDS
        if node.event.filter is not None:
            yield from _filter_faults(node.event.filter, f"{at}/event/filter", definition)


def _filter_faults(condition: str, at: str, definition: Definition) -> Iterator[Fault]:
    faults = [*_condition_faults(condition, at, definition)]
    yield from faults
    if not faults and not any(path[0] == "event" for path in paths_read(condition)):
        yield at, "reads nothing of the event; begin a name with event"
    for path in () if faults else paths_read(condition):
        if path[0] == "event" and len(path) > 1 and path[1] not in EVENT_FACTS:
            hint = near(path[1], EVENT_FACTS)
            yield at, f"an event has {', '.join(EVENT_FACTS)}, not {path[1]!r}{hint}"


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _approval_faults(node: Approval, at: str, definition: Definition) -> Iterator[Fault]:
    if is_reference(node.by):
        yield from _template_faults(node.by, f"{at}/by", definition)
    elif isinstance(node.by, tuple):
        for number, person in enumerate(node.by):
            if not (EMAIL.fullmatch(person) or GROUP.fullmatch(person)):
                yield f"{at}/by/{number}", "is not an e-mail address, nor a group as group:finance"
        is_few = len({*node.by}) < node.needed and not any(map(GROUP.fullmatch, node.by))
        if is_few:
            yield f"{at}/needed", "is more than the people in `by`"
    elif node.needed > 1:
        yield f"{at}/needed", "is more than 1, and only the owner of the workflow is asked"
    yield from _template_faults(node.show, f"{at}/show", definition)
    yield from misfits(node.show, _input_schema(Shown), f"{at}/show")
    yield from _reminder_faults(node, f"{at}/remind")


def _reminder_faults(node: Approval, at: str) -> Iterator[Fault]:
    before = 0.0
    for number, after in enumerate(node.remind):
        if after <= before:
            yield f"{at}/{number}", "is not longer than the duration before it"
        elif isinstance(node.timeout, float) and after >= node.timeout:
            yield f"{at}/{number}", "is not shorter than the `timeout` of the approval"
        before = after


def _child_faults(
    found: Found, node: Child, definition: Definition, types: Types | None
) -> Iterator[Fault]:
    at = found.pointer
    if node.type == definition.name:
        may_end = node.when is not None or any(isinstance(e, Choice | Map) for e in found.around)
        if not may_end:
            words = "starts itself without end; give it a `when`, or put it into a choice"
            yield f"{at}/type", words
        yield from misfits(node.with_, definition.input_schema, f"{at}/with")
    elif types is not None and node.type not in types:
        hint = near(node.type, types) or "; register it first"
        yield f"{at}/type", f"there is no workflow type {node.type!r}{hint}"
    elif types is not None:
        versions = types[node.type]
        if node.version is not None and node.version not in versions:
            listed = ", ".join(map(str, sorted(versions)))
            words = f"{node.type} has no version {node.version} that can be started; has: {listed}"
            yield f"{at}/version", words
        elif node.version is not None or len(versions) == 1:
            schema = versions[node.version or next(iter(versions))]
            yield from misfits(node.with_, schema, f"{at}/with")


def _condition_faults(expression: str, at: str, definition: Definition) -> Iterator[Fault]:
    for words in expression_faults(expression, definition.input_schema):
        yield at, words


def _template_faults(template: Any, at: str, definition: Definition) -> Iterator[Fault]:
    for place, expression in expressions(template):
        for words in expression_faults(expression, definition.input_schema):
            yield at + place, words
    yield from _mixed(template, at)


def _mixed(template: Any, at: str) -> Iterator[Fault]:
    """Faults for objects with `"$"` and other fields: they would be read as plain objects, not as
    references."""
    if isinstance(template, dict):
        if MARK in template and len(template) > 1:
            yield at, f'a reference {{"{MARK}": ...}} stands alone, without fields beside it'
        for name, inner in template.items():
            yield from _mixed(inner, at + pointer([name]))
    elif isinstance(template, list | tuple):
        for number, inner in enumerate(template):
            yield from _mixed(inner, f"{at}/{number}")
