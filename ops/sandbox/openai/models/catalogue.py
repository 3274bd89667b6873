"""Which models the imitated OpenAI has, and until when: `models.json`, from the SDK's types.

A model ends at the beginning of its last day in UTC, in the sandbox's time. With the setting
`openai.models_on` the models are those of that day, whatever the time is.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from ops.sandbox import clock
from ops.sandbox.box import Box
from ops.sandbox.openai import wire
from ops.sandbox.store import Json

ENDS: dict[str, str | None] = json.loads((Path(__file__).parent / "models.json").read_text())
"""The models, and the day on which each ends (YYYY-MM-DD), or None."""
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2})$")
_CREATED = 1754425777


def living(box: Box) -> list[str]:
    """Return the names of the models that have not ended."""
    return [name for name in ENDS if not has_ended(box, name)]


def has_ended(box: Box, name: str) -> bool:
    """Whether a model has ended, or the model of a snapshot that is not in the list."""
    day = ENDS.get(name, ENDS.get(_SNAPSHOT.sub("", name)))
    if day is None:
        return False
    today = box.settings.text("openai.models_on")
    return _midnight(day) <= (_midnight(today) if today else clock.now(box.store))


def check_end(box: Box, name: str) -> None:
    """Raise OpenAI's error for a model that has ended."""
    if has_ended(box, name):
        message = (
            f"The model `{name}` has been deprecated, learn more here: "
            "https://platform.openai.com/docs/deprecations"
        )
        raise wire.error(404, message, None, "model_not_found")


def named_model(box: Box, given: Json, default: str = "") -> str:
    """Return the model that a body names, which must be in the list and not have ended."""
    name = given.get("model") or default
    if not name:
        raise wire.missing("model")
    check_end(box, name)
    if name not in ENDS:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise wire.error(404, message, None, "model_not_found")
    return str(name)


def shown(name: str) -> Json:
    """Return a model as OpenAI shows it; a snapshot was created on the day in its name."""
    snapshot = _SNAPSHOT.search(name)
    return {
        "id": name,
        "object": "model",
        "created": int(_midnight(snapshot[1])) if snapshot else _CREATED,
        "owned_by": "system",
        "shutdown_date": ENDS[name],
    }


def _midnight(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
