"""Typed calls to Agora's channel management; every failure is raised as one of app.errors.

https://docs.agora.io/en/api-reference/api-ref/rtc/create-ban-rule
"""

import base64
import json
from datetime import datetime
from typing import Any

from app.errors import Permanent
from app.outbound import http
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.agora import limits
from tasks.agora.settings import AgoraSettings

SETTING = "AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET"
_RULES = "/dev/v1/kicking-rule"
_READ_SECONDS = 20.0  # Agora advises at least 20 s for creating a rule
MAX_BAN_MINUTES = 1440


class AgoraApi:
    """The calls to Agora that the actions make."""

    def __init__(self, settings: AgoraSettings) -> None:
        self._url = settings.base_url + _RULES
        self._app_id = needed(settings.app_id, "AGORA_APP_ID")
        customer = needed(settings.customer_id, "AGORA_CUSTOMER_ID")
        secret = needed(settings.customer_secret, "AGORA_CUSTOMER_SECRET")
        self._basic = _basic(customer, secret)
        old = settings.customer_secret_old.get_secret_value()
        other = _basic(settings.customer_id_old or customer, old) if old else ""
        self._spare = spare("AGORA_CUSTOMER_SECRET", self._basic, other)

    def is_closed(self, channel: str, until: float) -> bool:
        """Whether a rule bans everybody from the channel until then (Unix seconds).

        The list may miss a recent rule.
        """
        for rule in self._rules("kicking_rules.list"):
            is_general = not rule.get("uid") and not rule.get("ip")
            bans_joining = "join_channel" in _listed(rule.get("privileges"))
            is_it = rule.get("cname") == channel and is_general and bans_joining
            if is_it and _ends(rule) >= until:
                return True
        return False

    def close(self, channel: str, minutes: int) -> int | None:
        """Ban everybody for 1 to 1440 minutes, and return the rule's id if Agora names one.

        A second rule for the same channel does no harm.
        """
        rule = {
            "appid": self._app_id,
            "cname": channel,
            "time": min(max(minutes, 1), MAX_BAN_MINUTES),
            "privileges": ["join_channel"],
        }
        made = self._request("kicking_rules.create", "POST", body=json.dumps(rule).encode())
        found = made.get("id")
        is_id = isinstance(found, int) and not isinstance(found, bool) and found >= 0
        return found if is_id else None

    def probe(self) -> None:
        """Make one cheap authenticated read."""
        self._rules("probe")

    def _rules(self, name: str) -> list[Json]:
        answer = self._request(name, "GET", params={"appid": self._app_id})
        return [each for each in _listed(answer.get("rules")) if isinstance(each, dict)]

    def _request(
        self,
        name: str,
        method: str,
        *,
        body: bytes | None = None,
        params: dict[str, str | int] | None = None,
    ) -> Json:
        headers = {"Authorization": f"Basic {self._basic}", "Content-Type": "application/json"}
        with http.operation(
            "agora",
            name,
            repeatable=True,
            read_seconds=_READ_SECONDS,
            slow_seconds=http.SLOW_SECONDS if method == "GET" else _READ_SECONDS - 5.0,
            spare=self._spare,
            # A probe waits for no place: it says whether Agora works.
            demand=None if name == "probe" else limits.demand(method),
        ):
            reply = http.send(method, self._url, headers=headers, body=body, params=params)
            answer = reply.json()
            said = answer if isinstance(answer, dict) else {}
            if reply.status >= 300:
                raise http.refusal(
                    "agora",
                    reply.status,
                    str(said.get("message") or "no message"),
                    setting=SETTING,
                    headers=reply.headers,
                )
            if not isinstance(said.get("status"), str):
                raise http.unreadable(ValueError("no status"))
            if said["status"] != "success":
                raise Permanent(
                    http.quoted(f"agora refused: {said.get('message') or said['status']}"),
                    code="platform_refused",
                )
        return said


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _basic(customer: str, secret: str) -> str:
    return base64.b64encode(f"{customer}:{secret}".encode()).decode()


def _ends(rule: Json) -> float:
    """When a rule expires, in Unix seconds; 0 if it does not say so."""
    try:
        return datetime.fromisoformat(str(rule.get("ts"))).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def api() -> AgoraApi:
    """The client with this process's settings. app.outbound owns its connections.

    Raises NotConfigured if the credential is not set.
    """
    return AgoraApi(AgoraSettings.current())


def probe() -> None:
    """Raise an Outcome if Agora does not answer or refuses the credential."""
    api().probe()
