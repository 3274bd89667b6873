"""The values of which a definition's fields are made: durations, keys, names and expressions."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

KEY_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: Any) -> Any:
    """The seconds of a duration such as `"90s"`, `"10m"`, `"2h"` or `"30d"`.

    Raise ValueError for another text. Return a number unchanged; its bounds are checked elsewhere.

    >>> parse_duration("10m")
    600.0
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        raise ValueError("a duration looks like 90s, 10m, 2h or 30d")
    if isinstance(value, str):
        matched = _DURATION.fullmatch(value)
        if matched is None or len(value) > 20:
            raise ValueError("a duration looks like 90s, 10m, 2h or 30d")
        return float(matched[1]) * _UNITS[matched[2]]
    return value


LONGEST_SECONDS = 366 * 86400.0
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, le=LONGEST_SECONDS, allow_inf_nan=False),
    WithJsonSchema(
        {
            "description": "A duration such as 90s, 10m, 2h or 30d, or a number of seconds; at most"
            " 366 days.",
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$", "maxLength": 20},
                {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_SECONDS},
            ],
            "examples": ["10m", 90],
        }
    ),
]
Key = Annotated[str, Field(pattern=KEY_PATTERN)]
ActionName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}\.[a-z0-9_]{1,80}$")]
Expression = Annotated[str, Field(min_length=1, max_length=4000)]
Reference = dict[Literal["$"], Expression]
"""An object `{"$": "<JMESPath>"}`, which is replaced by the value of the expression."""


class DefinitionNode(BaseModel):
    """The base of all nodes: unknown fields are refused, and an instance never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
