"""When a message was published: each message says it in a header.

The reconciler compares the oldest message of a queue with a step that nobody has claimed yet. A
step that was published later may still have its message behind it.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from celery import signals
from uuid_utils import uuid7

HEADER = "playalter_published"
"""The header's value is a UUID of version 7, which begins with the time in milliseconds. An
envelope can replace it like every other id."""


def stamp(*_: Any) -> str:
    """The value of the header for a message that is published now."""
    return str(uuid7())


@signals.before_task_publish.connect
def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        headers[HEADER] = stamp()


def published_at(message: bytes | str) -> datetime | None:
    """When a message was published, from its text in Redis; None if it does not say it."""
    try:
        value = UUID(json.loads(message)["headers"][HEADER])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)
