"""What a trigger says of an event: whether it takes it, with which input, under which key.

Pure. Every evaluation has a bound of work, and failures are values or ExpressionInvalid.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.errors import InvalidInput
from app.payload import text_of
from app.platform import Json
from chains.language import expressions
from chains.language.evaluation import Meter
from chains.language.event_patterns import EVENT_FACTS, PATTERN, PATTERN_WORDS
from chains.language.expression_rules import expression_faults
from chains.language.expressions import ExpressionInvalid, Kept
from chains.language.faults import near

LONGEST_EXPRESSION = 1024
MOST_INPUT_BYTES = 16_384
FILTER_WORK = 50_000
"""Units of work of one filter (see chains.language.evaluation), about as many microseconds."""
INPUT_WORK = 100_000
MOST_VALUE = 4_000_000
"""The size of what an expression may build."""
LONGEST_KEY = 500


@dataclass(frozen=True)
class Trigger:
    """A trigger as it is matched. `kept` is its filter, if it is kept parsed."""

    id: UUID
    user_id: UUID
    name: str
    event_type: str
    filter: str | None
    definition: str
    version: int | None
    input: Any
    idempotency_key: str | None
    kept: Kept | None = None

    def takes(self, scope: Json, meter: Meter) -> bool:
        """Whether its filter holds; raise ExpressionInvalid if the filter fails."""
        if self.filter is None:
            return True
        if self.kept is not None:
            return self.kept.holds(scope, meter)
        return expressions.holds(self.filter, scope, meter)

    def start_key(self, event_id: UUID, scope: Json, meter: Meter) -> str:
        """The idempotency key of the start; raise ExpressionInvalid if its expression fails."""
        if self.idempotency_key is None:
            return f"event:{self.id}:{event_id}"
        value = expressions.render({expressions.MARK: self.idempotency_key}, scope, meter)
        if isinstance(value, bool | int | float):
            value = text_of(value)
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_KEY:
            raise ExpressionInvalid(
                f"the idempotency key must be a text of 1 to {LONGEST_KEY} characters or a number"
            )
        return f"event:{self.id}:{hashlib.sha256(value.encode()).hexdigest()}"

    def workflow_input(self, scope: Json) -> Any:
        """The input of the workflow; raise ExpressionInvalid if an expression fails."""
        template = {expressions.MARK: "event.data"} if self.input is None else self.input
        return expressions.render(template, scope, Meter(MOST_VALUE, INPUT_WORK))


def check_pattern(event_type: str) -> None:
    """Raise InvalidInput unless this is a type of event, a prefix with `.*` after it, or `*`."""
    if not PATTERN.fullmatch(event_type):
        raise InvalidInput(PATTERN_WORDS, field="/event_type")


def check_expressions(given: Mapping[str, Any]) -> None:
    """Raise InvalidInput, with all faults, if an expression of a trigger is wrong."""
    faults = [*_faults("/filter", given.get("filter"))]
    faults += _faults("/idempotency_key", given.get("idempotency_key"))
    template = given.get("input")
    if len(text_of(template).encode()) > MOST_INPUT_BYTES:
        faults.append(("/input", f"is larger than {MOST_INPUT_BYTES} bytes"))
    else:
        for place, expression in expressions.expressions(template):
            faults += _faults(f"/input{place}/{expressions.MARK}", expression, is_given=True)
    if faults:
        place, words = faults[0]
        raise InvalidInput(f"{place}: {words}", field=place, errors=tuple(faults))


def expression_check(place: str, expression: str | None, roots: Sequence[str]) -> None:
    """Raise InvalidInput, with the pointer `place`, if an expression over these names is wrong."""
    for _, words in _faults(place, expression, roots):
        raise InvalidInput(f"{place}: {words}", field=place, errors=((place, words),))


_EVENT = ("event",)
_NAMES = "begin with input, steps.<key>, workflow, now, item or index"


def _faults(
    place: str, expression: Any, names: Sequence[str] = _EVENT, *, is_given: bool = False
) -> Iterator[tuple[str, str]]:
    """The faults of an expression, which reads only these names."""
    if expression is None and not is_given:
        return
    if isinstance(expression, str) and len(expression.encode()) > LONGEST_EXPRESSION:
        yield place, f"an expression has at most {LONGEST_EXPRESSION} bytes here"
        return
    for words in _strange_names(expression, names) or expression_faults(expression, {}):
        yield place, words.replace(_NAMES, f"begin with {' or '.join(names)}")


def _strange_names(expression: Any, names: Sequence[str]) -> list[str]:
    """The faults of an expression that reads other names; empty if it reads no names."""
    try:
        strange = sorted(expressions.roots(expression) - {*names}) if expression else []
    except (ExpressionInvalid, TypeError):
        return []
    facts = f"; an event has {', '.join(EVENT_FACTS)}" if names == _EVENT else ""
    return [
        f"there is no {name!r} here{near(name, names)}; begin with {' or '.join(names)}{facts}"
        for name in strange
    ]
