"""Prepares the workflows that a schedule starts, before the transaction that starts them.

The input of a schedule is a template: `{"$": "<JMESPath>"}` over `scheduled_at`, the time of the
schedule without jitter, and `schedule` with its `id` and `name`.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from app.errors import InvalidInput, Permanent
from app.files.mentions import mentioned
from app.payload import dumps, whole_numbers
from app.platform import Json
from chains import registry
from chains.firing.flowing import own_flow
from chains.flow.stored import flow_for, flow_of
from chains.language.expression_rules import expression_faults
from chains.language.expressions import ExpressionInvalid, expressions, render, roots
from chains.language.functions.dates import written
from chains.starting import accepting
from chains.starting.inputs import check_input, refuse_many_steps, timeout_of
from chains.starting.writing import Start, first_rows_of

READS = ("scheduled_at", "schedule")
"""What the input of a schedule may refer to."""

_LONGEST_DETAIL = 1000


def key_of(schedule_id: UUID, nominal: datetime) -> str:
    """The idempotency key of the workflow that a schedule starts for one of its times."""
    return f"schedule:{schedule_id}:{int(nominal.timestamp())}"


def key_of_request(schedule_id: UUID, request_id: str) -> str:
    """The idempotency key of the workflow that a person starts through a schedule."""
    return f"schedule:{schedule_id}:run:{request_id}"


def template_faults(template: Json) -> Iterator[tuple[str, str]]:
    """The faults of the references in an input, as pairs (JSON pointer, words)."""
    for place, expression in expressions(template, "/input"):
        faults = list(expression_faults(expression, True))
        if not faults:
            unknown = sorted(roots(expression) - set(READS))
            faults = [
                f"{name} is not known here; a schedule's input reads {' and '.join(READS)}"
                for name in unknown
            ]
        for fault in faults:
            yield place, fault


class Recipe(Protocol):
    """What the starts of a schedule are made from."""

    @property
    def id(self) -> UUID:
        """The id of the schedule."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def user_id(self) -> UUID:
        """Its owner."""

    @property
    def type(self) -> str:
        """The type of its workflows."""

    @property
    def version(self) -> int | None:
        """Their version; None for the one that is active."""

    @property
    def input(self) -> Json:
        """The template of their input."""

    @property
    def priority(self) -> int:
        """Their priority."""

    @property
    def flow(self) -> Json | None:
        """The flow control of the schedule."""


class Starter:
    """Prepares the starts of one pass. The versions of each type are read once."""

    def __init__(self) -> None:
        self._choices: dict[str, registry.Choice] = {}

    def prepare(self, schedule: Recipe, nominal: datetime, key: str) -> Json:
        """What `fire_schedule_v1` needs for a start, or {refused, detail} if it is refused."""
        try:
            return self.prepared(schedule, nominal, key)
        except (InvalidInput, Permanent) as err:
            return _refused(err.code, err.message)
        except ExpressionInvalid as err:
            return _refused("expression_failed", str(err))

    def prepared(self, schedule: Recipe, nominal: datetime, key: str) -> Json:
        """Like `prepare`, but raise InvalidInput, Permanent or ExpressionInvalid."""
        workflow_id = uuid7()
        version = self._version(schedule.type, schedule.version, workflow_id)
        given = self._input(schedule, nominal)
        plan = registry.plan(schedule.type, version)
        definition = registry.definition(schedule.type, version)
        own = own_flow(schedule.flow)
        flow = flow_for(definition, own)
        whole = accepting.given_to(flow, given)
        check_input(definition.input_schema, whole, schedule.user_id)
        refuse_many_steps(plan, whole)
        start = Start(workflow_id, schedule.user_id, schedule.type, version, given)
        mentions = mentioned(start.text)
        wanted = accepting.asked(flow, start)
        return {
            "prepared_id": str(workflow_id),
            "version": version,
            "input": start.text,
            "key": key,
            "hash": _hash(schedule.type, schedule.priority, start.text),
            "timeout": timeout_of(plan, whole),
            "steps": first_rows_of(start, plan),
            "budget": plan.budget,
            "artifacts": None if mentions is None else list(map(str, mentions)),
            "asks": bool(plan.asking),
            "flow": flow_of(definition, whole, schedule.user_id, own, schedule.id),
            "wanted": None if wanted is None else dumps(wanted),
        }

    def _input(self, schedule: Recipe, nominal: datetime) -> Json:
        scope = {
            "scheduled_at": written(nominal),
            "schedule": {"id": str(schedule.id), "name": schedule.name},
        }
        found: Any = whole_numbers(render(schedule.input, scope))
        if not isinstance(found, dict):
            raise InvalidInput("the input of a schedule is no object", field="/input")
        return found

    def _version(self, type: str, version: int | None, workflow_id: UUID) -> int:
        if version is not None:
            if registry.pick(type, workflow_id, version) is None:
                message = f"{type} has no version {version} that can be started"
                raise InvalidInput(message, field="/version", code="version_retired")
            return version
        if type not in self._choices:
            self._choices[type] = registry.choice(type)
        found = self._choices[type].pick(workflow_id)
        if found is None:
            raise InvalidInput(
                f"there is no workflow type {type!r}", field="/type", code="unknown_type"
            )
        return found


def _hash(type: str, priority: int, text: str) -> str:
    """A hash by which a request with the same idempotency key is told from the schedule's start."""
    return hashlib.sha256(f"{type} {priority} {text}".encode()).hexdigest()


def _refused(code: str, message: str) -> Json:
    return {"refused": code, "detail": message[:_LONGEST_DETAIL]}
