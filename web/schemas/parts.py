"""Parts that several schemas use: strict bodies, checked parameters, names."""

import re
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from app import cards
from app.queries import CURSOR_PATTERN, SHOWN_STATUSES

TypeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", examples=["face_swap_campaign"])]
ShownStatus = Literal[
    "pending",
    "running",
    "succeeded",
    "failed",
    "compensating",
    "compensated",
    "cancelled",
    "suspended",
]
assert set(ShownStatus.__args__) == set(SHOWN_STATUSES)  # type: ignore[attr-defined] # Literal's own
Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
StepKey = Annotated[str, Field(min_length=1, max_length=1000)]
Cursor = Annotated[
    str, Field(pattern=CURSOR_PATTERN, description="`next_cursor` of the previous page.")
]
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*")


def _written_out(value: Any) -> Any:
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return value
    raise ValueError("write an instant with its zone, such as 2027-01-31T09:00:00+01:00")


Instant = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""Not the number of seconds since 1970 that pydantic also takes: it may be meant as a date."""
SignalName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


def _without_card_number(text: str) -> str:
    if cards.is_certain(text):
        raise ValueError("this holds the number of a payment card, which is not stored here")
    return text


IdempotencyKey = Annotated[str, AfterValidator(_without_card_number)]


class Body(BaseModel):
    """A JSON request body: unknown fields are refused, and no type is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Parameters(BaseModel):
    """Headers or query parameters; strings are converted to numbers and times."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Pydantic's schema, cached, because the OpenAPI library asks for it at every request."""
        return super().model_json_schema(*args, **kwargs) if args or kwargs else _schema(cls)


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


class Query(Parameters):
    """Query parameters; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")


class StartHeader(Parameters):
    """A repeated request with the same key is answered like the first and does nothing new."""

    idempotency_key: IdempotencyKey | None = Field(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
    )
