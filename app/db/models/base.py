"""The base class of all models, and SQL texts that they share."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    DateTime,
    LargeBinary,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase

NOW = text("clock_timestamp()")
UUID7 = text("uuidv7()")


def one_of(column: str, values: tuple[str, ...]) -> str:
    """The SQL condition that the column has one of the values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


class Base(DeclarativeBase):
    """Derives the type of a column from its annotation: times have a time zone, JSON is jsonb."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text,
        dict[str, Any]: JSONB,
        list[UUID]: ARRAY(Uuid),
        list[str]: ARRAY(Text),
        list[datetime]: ARRAY(DateTime(timezone=True)),
        bytes: LargeBinary,
    }
