"""Reads at OpenAI without the SDK, whose import takes 2 to 4 s. The web process makes them.

Invariant: a read takes at most some seconds, and what is read is stored nowhere.
"""

import json
import time
from typing import Any

from app.outbound import http
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.openai.client import SETTING
from tasks.openai.settings import OpenAISettings

_SECONDS = 5.0


def read(path: str, name: str) -> Json:
    """The object at a path of the API; `name` is the call's name in circuits.

    Raises an Outcome if OpenAI does not answer or refuses, and NotConfigured if the credential is
    not set in this process.
    """
    settings = OpenAISettings.current()
    headers = {"Authorization": f"Bearer {needed(settings.api_key, SETTING)}"}
    keys = spare(SETTING, settings.api_key, settings.api_key_old)
    with (
        http.exchange_scope(time.monotonic() + _SECONDS, []),
        http.operation("openai", name, repeatable=True, spare=keys),
        http.reading(),
    ):
        reply = http.send("GET", f"{settings.base_url}{path}", headers=headers)
        seen: Any = http.bounded(json.loads(reply.body))
        if reply.status == 200 and isinstance(seen, dict):
            return seen
        error = seen["error"]
        message, code = str(error.get("message") or "no message"), error.get("code")
        raise http.refusal(
            "openai",
            reply.status,
            message,
            setting=SETTING,
            headers=reply.headers,
            code="not_found" if reply.status == 404 else code,
        )
