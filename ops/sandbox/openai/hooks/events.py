"""The events of the imitated OpenAI, with Standard Webhooks signatures.

They go to `/hooks/openai` of the setting `hook_base`, and to the endpoints that are registered for
their type, which sign with their own secrets. https://platform.openai.com/docs/guides/webhooks
"""

from __future__ import annotations

import json

from ops.sandbox import clock
from ops.sandbox.box import Box, token36
from ops.sandbox.store import Json

KIND = "openai_webhook_endpoint"


class Hooks:
    """Sends events."""

    def __init__(self, box: Box) -> None:
        self._box, self._store = box, box.store
        box.outbox.recipients["openai"] = self._is_wanted

    def send(self, kind: str, object_id: str, at: float | None = None) -> None:
        """Send an event about an object, such as `batch.completed`; call this in the transaction of
        its effect. `at` is when it happened, in the sandbox's time; without it that is now."""
        event = made(kind, object_id, clock.now(self._store) if at is None else at)
        if hook := self._box.settings.text("hook_base"):
            self._post(event, f"{hook}/hooks/openai", object_id, "standard")
        for row in self._store.query(KIND):
            if kind in row.body["event_types"]:
                secrets = " ".join(self.secrets(row.body))
                self._post(event, row.body["url"], row.id, f"standard:{secrets}")

    def secrets(self, endpoint: Json) -> list[str]:
        """Return the secrets that sign the events of an endpoint: its own, and for a day after a
        change the one that it had, if that was asked for."""
        old, until = endpoint["sandbox"]["old_secret"], endpoint["sandbox"]["old_until"]
        is_kept = old is not None and clock.now(self._store) < until
        return [endpoint["sandbox"]["secret"], *([old] if is_kept else [])]

    def _post(self, event: Json, url: str, object_id: str, scheme: str) -> None:
        self._box.outbox.post(
            "openai", event["type"], url, f"wh_{token36(32)}", object_id,
            json.dumps(event).encode(), scheme,
        )  # fmt: skip

    def _is_wanted(self, object_id: str) -> bool:
        """Whether the endpoint that an id names, if it names one, is still there."""
        is_registered = object_id.startswith("whep_")
        return not is_registered or self._store.get(KIND, object_id) is not None


def made(kind: str, object_id: str, at: float) -> Json:
    """Return an event."""
    return {
        "id": f"evt_{token36(32)}",
        "object": "event",
        "created_at": int(at),
        "type": kind,
        "data": {"id": object_id},
    }
