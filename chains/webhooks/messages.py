"""What a webhook says: its types, its id and its body. Pure.

The body is thin: it names what has happened and to which workflow, with a link to the rest. It
contains no payloads. https://www.standardwebhooks.com (version 1.0.0)
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

EVENT_TYPES = (
    "workflow.started",
    "workflow.succeeded",
    "workflow.failed",
    "workflow.cancelled",
    "workflow.compensated",
    "step.failed",
    "approval.requested",
    "approval.reminded",
    "attention.raised",
)
"""The types that tell of events of workflows (see webhook_type_v1)."""
OWN_TYPES = ("webhook.message_failed", "webhook.disabled")
"""The types that tell of another endpoint of the same user."""
TYPES = (*EVENT_TYPES, *OWN_TYPES)
"""The types that an endpoint may want. It always gets its own pings, of the type `webhook.ping`."""


def shown_id(message_id: UUID) -> str:
    """The id of a message as its receiver knows it; `id_of` reads it.

    >>> shown_id(UUID("01a2242f-a9bf-73cf-a48b-9c420711352f"))
    'msg_01a2242fa9bf73cfa48b9c420711352f'
    """
    return f"msg_{message_id.hex}"


def id_of(shown: str) -> UUID:
    """The id of a message that is shown so.

    >>> id_of("msg_01a2242fa9bf73cfa48b9c420711352f")
    UUID('01a2242f-a9bf-73cf-a48b-9c420711352f')
    """
    return UUID(shown.removeprefix("msg_"))


def body(
    message_id: UUID, type: str, at: datetime, data: Mapping[str, Any], base_url: str
) -> bytes:
    """The body of a message, whose data gets a link to its workflow at `base_url`."""
    more = {}
    if "workflow_id" in data:
        more["link"] = f"{base_url}/v1/workflows/{data['workflow_id']}"
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"id": shown_id(message_id), "type": type, "timestamp": stamp, "data": {**data, **more}}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
