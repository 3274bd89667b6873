"""Where the business runs: an instance of Playalter beside the imitated Stripe, from outside."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

Json = dict[str, Any]


class Ask(Protocol):
    """A call of an API that answers with JSON: method, path, body or parameters."""

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The answer; raises if the call is refused."""
        ...


@dataclass(frozen=True)
class Place:
    """What the business reaches.

    `control` is the sandbox's control API and `api` Playalter's, with an admin's key. `advance`
    moves both clocks by so many hours, and compares each day that is over. `compare` compares one
    day.
    """

    stripe_url: str
    stripe_key: str
    control: Ask
    api: Ask
    advance: Callable[[int], None]
    compare: Callable[[date], None]
    now: Callable[[], float]
    """Stripe's time in Unix seconds."""

    def differences(self, state: str = "open") -> list[Json]:
        """All differences of this state, newest first."""
        found: list[Json] = []
        before = ""
        while True:
            page = self.api("GET", f"/v1/money/differences?state={state}&limit=500{before}")
            found += page["items"]
            if page["next_before"] is None:
                return found
            before = f"&before={page['next_before']}"

    def balances(self) -> dict[str, dict[str, int]]:
        """By account, the balance in each currency that is not 0."""
        found: dict[str, dict[str, int]] = {}
        for each in self.api("GET", "/v1/money/balances")["items"]:
            if each["amount"]:
                found.setdefault(each["account"], {})[each["currency"]] = each["amount"]
        return found
