"""A definition: a recipe as data, the same from Python and as JSON.

Checked when it is registered: what can be known to be wrong is refused with the path of the fault.
"""

import hashlib
import json
import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

KEY_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: Any) -> Any:
    """Seconds of `"90s"`, `"10m"`, `"2h"`, `"30d"`.

    >>> parse_duration("10m")
    600.0
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        matched = _DURATION.match(value)
        if matched is None:
            raise ValueError("a duration looks like 90s, 10m, 2h or 30d")
        return float(matched[1]) * _UNITS[matched[2]]
    return value


Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, le=366 * 86400.0)]
Key = Annotated[str, Field(pattern=KEY_PATTERN)]


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Retry(_Node):
    """How often a step is tried in all."""

    tries: Annotated[int, Field(ge=1, le=1000)]


class Step(_Node):
    """One action."""

    step: Key
    action: str
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    retry: Retry | None = None
    timeout: Duration | None = None
    pivot: bool = False


class Sequence(_Node):
    """One node after the other."""

    sequence: Annotated[tuple["Node", ...], Field(min_length=1)]


class Parallel(_Node):
    """Branches at the same time, then their join, whose key this is."""

    parallel: Key
    branches: Annotated[tuple["Node", ...], Field(min_length=1, max_length=100)]


class Map(_Node):
    """The body once for each item of `over`, at most `max_concurrency` at once."""

    map: Key
    over: dict[Literal["$"], str]
    max_concurrency: Annotated[int, Field(ge=1, le=5000)] = 10
    do: "Node"


def _kind(value: Any) -> str | None:
    names = ("step", "sequence", "parallel", "map")
    if isinstance(value, dict):
        return next((name for name in names if name in value), None)
    return type(value).__name__.lower()


Node = Annotated[
    Annotated[Step, Tag("step")]
    | Annotated[Sequence, Tag("sequence")]
    | Annotated[Parallel, Tag("parallel")]
    | Annotated[Map, Tag("map")],
    Discriminator(
        _kind,
        custom_error_type="unknown_node",
        custom_error_message="a node is one of: step, sequence, parallel, map",
    ),
]


class Definition(_Node):
    """A recipe: its input's schema, its root node, its output and how long it may take."""

    name: Key
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    do: Node
    output: dict[str, Any] = Field(default_factory=dict)
    timeout: Duration | None = None

    def body(self) -> dict[str, Any]:
        """The JSON form, as it is stored."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def checksum(self) -> str:
        """SHA-256 of the canonical JSON form."""
        text = json.dumps(self.body(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> Self:
        """The definition of a stored body."""
        return cls.model_validate(body)


for _model in (Sequence, Parallel, Map, Definition):
    _model.model_rebuild()
