"""The account that the token belongs to, its webhook secret, and the hardware that it can use."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import Box
from ops.sandbox.replicate.gallery import HARDWARE, OWNER
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply


def creator() -> Json:
    """Return the account, as it is shown and as the creator of a release."""
    return {
        "type": "organization",
        "username": OWNER,
        "name": "Playalter Sandbox",
        "avatar_url": f"https://replicate.com/avatars/{OWNER}.png",
        "github_url": f"https://github.com/{OWNER}",
    }


class Account:
    """Shows the account, the secret of its webhooks and the hardware."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def routes(self) -> Sequence[Route]:
        """Return the calls."""
        hooks = "/v1/webhooks/default"
        return [
            ("GET", "/v1/account", "account.get", self._account),
            ("GET", f"{hooks}/secret", "webhooks.default.secret.get", self._secret),
            ("GET", "/v1/hardware", "hardware.list", self._hardware),
        ]

    def _account(self, call: Call) -> Response:
        return reply(creator())

    def _secret(self, call: Call) -> Response:
        return reply({"key": self.box.credentials.REPLICATE_WEBHOOK_SECRET})

    def _hardware(self, call: Call) -> Response:
        return reply([{"name": name, "sku": sku} for sku, name in HARDWARE.items()])
