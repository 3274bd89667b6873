"""Typed calls to Pressroom's REST API; every failure leaves as one of app.errors."""

import json
from urllib.parse import quote

from app.outbound import http
from app.platform import Json
from app.settings import needed

from .settings import PressroomSettings

SETTING = "PRESSROOM_API_KEY"


class PressroomApi:
    """The calls that the actions make."""

    def __init__(self, settings: PressroomSettings) -> None:
        self._base_url = settings.base_url
        self._headers = {
            "Authorization": f"Bearer {needed(settings.api_key, SETTING)}",
            "Content-Type": "application/json",
        }

    def create_order(self, request: Json) -> Json:
        """Order a print run: {id, state}. Pressroom knows no idempotency key."""
        return self._call("orders.create", "POST", "/v1/orders", request, repeatable=False)

    def order(self, order: str) -> Json:
        """{id, reference, state, proof}; state is printing, printed, failed or cancelled."""
        return self._call("orders.get", "GET", f"/v1/orders/{quote(order, safe='')}")

    def orders_of(self, reference: str) -> list[Json]:
        """The orders that carry a reference; the list is strongly consistent."""
        path = f"/v1/orders?reference={quote(reference, safe='')}"
        return list(self._call("orders.list", "GET", path)["orders"])

    def cancel_order(self, order: str) -> None:
        """Stop a print run, or pulp what was printed; a second cancel changes nothing."""
        self._call("orders.cancel", "POST", f"/v1/orders/{quote(order, safe='')}/cancel", {})

    def probe(self) -> None:
        """One cheap authenticated read."""
        self._call("probe", "GET", "/v1/account")

    def _call(
        self,
        name: str,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        repeatable: bool = True,
    ) -> Json:
        data = None if body is None else json.dumps(body).encode()
        with http.operation("pressroom", name, repeatable=repeatable):
            reply = http.send(method, self._base_url + path, headers=self._headers, body=data)
            answer = reply.json()
            said: Json = answer if isinstance(answer, dict) else {}
            if reply.status >= 400:
                message = str(said.get("error") or "no message")
                raise http.refusal(
                    "pressroom", reply.status, message, setting=SETTING, headers=reply.headers
                )
        return said


def api() -> PressroomApi:
    """The client for this process's settings; raise NotConfigured where the key is not set."""
    return PressroomApi(PressroomSettings.current())


def probe() -> None:
    """Raise an Outcome when Pressroom is away or refuses the key."""
    api().probe()
