"""A small client of Replicate's REST API; every failure is raised as one of app.errors.

The SDK (1.0.7) only makes the requests and uploads files: its own types raise for a status that
they do not know (`aborted`) and for a missing version, and have no `Cancel-After`.

Invariant: no answer with a status of 300 or more reaches the SDK. So the SDK never begins its own
retries (up to 10, in 49 s), and takes no redirect for a success.
https://replicate.com/docs/reference/http
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from app.errors import Outcome, Permanent, Retryable
from app.outbound import http
from app.outbound.fetching import origin
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.replicate import answers, limits
from tasks.replicate.settings import ReplicateSettings

if TYPE_CHECKING:
    from replicate.client import Client

T = TypeVar("T")

SETTING = "REPLICATE_API_TOKEN"
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A prediction in an answer has its output, which may be a picture as a data URI, and its log."""
TRANSFER_SECONDS = 60.0
_SLOW_SECONDS = {"files.create": 30.0, "predictions.create": 10.0}
"""After how long a call counts as slow: one sends a file, one may start a model."""
_MAX_PAGES = 20
_MOST_ADDRESS = 8_000
"""The characters of an address that servers support (RFC 9110 4.1)."""


class Rest:
    """Sends requests, reads answers and lists."""

    def __init__(self, settings: ReplicateSettings, most_bytes: int = MAX_ANSWER_BYTES) -> None:
        """`most_bytes` are those of an answer that is read."""
        self._settings, self._most_bytes = settings, most_bytes
        self._sdk = _sdk(settings)
        self._spare = spare(SETTING, settings.api_token, settings.api_token_old)

    @property
    def _token(self) -> str:
        return self._settings.api_token.get_secret_value()

    def _listed(
        self,
        what: str,
        path: str,
        since: datetime,
        pick: Callable[[Json], Json | None],
        most_pages: int = _MAX_PAGES,
    ) -> Iterator[Json]:
        """What `pick` makes of what was created since `since`, newest first, without None.

        `pick` raises for what cannot be used.
        """

        def read(page: Json) -> tuple[list[Json], str]:
            results: list[Json] = page["results"]
            recent = list(
                takewhile(lambda each: answers.time(each["created_at"]) >= since, results)
            )
            picked = [pick(http.bounded(each)) for each in recent]
            following = page.get("next") if len(recent) == len(results) else None
            found = [each for each in picked if each is not None]
            return found, self._address(following) if following else ""

        cursor = path
        for _ in range(most_pages):
            found, cursor = self._json(f"{what}.list", cursor, read)
            yield from found
            if not cursor:
                return
            if origin(cursor) != origin(self._settings.base_url):
                # The SDK would send our token to whatever host the answer names.
                raise Retryable(
                    f"Replicate's list of {what} goes on at another host", code="list_elsewhere"
                )
        raise Retryable(
            f"Replicate lists more {what} than are read", code="list_too_long", after=300.0
        )

    def _address(self, following: Any) -> str:
        """The address of the next page. Raises ValueError if it is none that can be asked."""
        address = urljoin(self._settings.base_url, http.text_at(following))
        origin(address)
        if len(address) > _MOST_ADDRESS:
            raise ValueError("the address of the next page is too long")
        return address

    def _json(self, name: str, path: str, read: Callable[[Json], T]) -> T:
        return self._call(
            name, lambda: read(self._sdk._request("GET", path).json()), repeatable=True
        )

    def _change(
        self,
        name: str,
        method: str,
        path: str,
        read: Callable[[Json], T],
        *,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        repeatable: bool = False,
    ) -> T:
        """Send a request that changes something, and read its answer."""
        more: Any = {} if headers is None else {"headers": headers}
        return self._call(
            name,
            lambda: read(self._sdk._request(method, path, json=body, **more).json()),
            repeatable=repeatable,
        )

    def _unless_missing(self, name: str, perform: Callable[[], object]) -> bool:
        try:
            self._call(name, perform, repeatable=True)
        except Permanent as err:
            if err.code == "not_found":
                return False
            raise
        return True

    def _call(self, name: str, perform: Callable[[], T], *, repeatable: bool) -> T:
        with (
            http.operation(
                "replicate",
                name,
                repeatable=repeatable,
                read_seconds=TRANSFER_SECONDS,
                max_bytes=self._most_bytes,
                spare=self._spare,
                slow_seconds=_SLOW_SECONDS.get(name, http.SLOW_SECONDS),
                demand=limits.demand(name),
            ),
            http.reading(),
        ):
            return perform()


def _sdk(settings: ReplicateSettings) -> "Client":
    # Imported late: it takes 4 s, and the web process imports this module but never calls
    # Replicate.
    import httpx
    from replicate.client import Client

    class Transport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            reply = http.send(
                request.method, str(request.url), headers=request.headers, body=request.read()
            )
            if reply.status >= 300:
                raise _refused(reply)
            return httpx.Response(
                reply.status, headers=http.decoded_headers(reply), content=reply.body
            )

    return Client(
        api_token=needed(settings.api_token, SETTING),
        base_url=settings.base_url,
        transport=Transport(),
        trust_env=False,
    )


_CODES = {"Invalid version or not permitted": "version_gone"}
"""The codes of refusals that have none, by their titles."""


def _refused(reply: http.HttpReply) -> Outcome:
    """The outcome of an answer that is no success. Errors have problem details (RFC 7807).

    https://replicate.com/docs/reference/http#errors
    """
    problem = reply.json()
    said: Any = problem if isinstance(problem, dict) else {}
    message = said.get("detail") or said.get("title") or "no message"
    return http.refusal(
        "replicate",
        reply.status,
        message if isinstance(message, str) else json.dumps(message),
        setting=SETTING,
        headers=reply.headers,
        code="not_found" if reply.status == 404 else _CODES.get(str(said.get("title"))),
        is_exhausted=reply.status == 402,
    )
