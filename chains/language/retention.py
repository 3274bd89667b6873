"""How long the workflows of a definition are kept after their end."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from chains.language.scalars import DefinitionNode, parse_duration

LONGEST_KEPT_SECONDS = 100 * 366 * 86400.0
KeptFor = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, le=LONGEST_KEPT_SECONDS, allow_inf_nan=False),
    WithJsonSchema(
        {
            "description": "A duration such as 12h or 400d, or a number of seconds; at most 100"
            " years.",
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$", "maxLength": 20},
                {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_KEPT_SECONDS},
            ],
            "examples": ["90d"],
        }
    ),
]


class Retention(DefinitionNode):
    """How long ended workflows are kept: `hot` in PostgreSQL, counted from their end, and then for
    `archive` in the archive, counted from there. What is not given is as in the settings."""

    hot: KeptFor | None = None
    archive: KeptFor | Literal["forever"] | None = None
