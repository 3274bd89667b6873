"""Typed calls to Replicate; every failure is raised as one of app.errors.

Invariant: no answer with a status of 300 or more reaches the SDK. So the SDK never begins its own
retries (up to 10, in 49 s), and takes no redirect for a success.
https://replicate.com/docs/reference/http
"""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urljoin

import structlog

from app.caching import Cache, key_of
from app.errors import Outcome, Permanent, Retryable
from app.outbound import http
from app.outbound.destinations import REFUSED
from app.outbound.fetching import fetch, origin
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.replicate import answers, limits
from tasks.replicate.models import Model, model_of
from tasks.replicate.settings import ReplicateSettings

if TYPE_CHECKING:
    from replicate.client import Client

T = TypeVar("T")
log = structlog.get_logger()

SETTING = "REPLICATE_API_TOKEN"
MAX_OUTPUT_BYTES = 40 * 1024 * 1024
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A prediction in an answer has its output, which may be a picture as a data URI, and its log."""
_TRANSFER_SECONDS = 60.0
_SLOW_SECONDS = {"files.create": 30.0, "predictions.create": 10.0}
"""After how long a call counts as slow: one sends a file, one may start a model."""
_MODELS = Cache("replicate.model", seconds=300, own_seconds=300)
"""What `ReplicateApi.model` has read. A new version of a model is used within ten minutes."""
_MAX_PAGES = 20
_MOST_PREDICTION_PAGES = 80
"""More than an account may create, 600 in a minute, within the time in which one is looked for."""
_MOST_ADDRESS = 8_000
"""The characters of an address that servers support (RFC 9110 4.1)."""


class ReplicateApi:
    """The calls to Replicate that the actions make."""

    def __init__(self, settings: ReplicateSettings) -> None:
        self._settings = settings
        self._sdk = _sdk(settings)
        self._spare = spare(SETTING, settings.api_token, settings.api_token_old)

    def model(self, name: str) -> Model:
        """The model `owner/name:version`, or the latest version of `owner/name`.

        It is read from Replicate by one process for all, and kept for 5 to 10 minutes.
        """
        # A private model is known to its account only, and another release may keep other fields.
        key = key_of(self._settings.base_url, self._token, name, [*Model.__annotations__])
        return Model(**_MODELS.get(key, lambda: asdict(self._read_model(name))))

    def upload(self, data: bytes, filename: str, content_type: str, metadata: Json) -> Json:
        """Upload a file, which Replicate keeps for a day: {id, url}; its url is unique."""
        return self._call(
            "files.create",
            lambda: answers.file(
                self._sdk.files.create(
                    io.BytesIO(data),
                    filename=filename,
                    content_type=content_type,
                    metadata=metadata,
                ).dict()
            ),
            repeatable=True,
        )

    def files_with(self, metadata: Json, since: datetime) -> list[Json]:
        """The files created since `since` whose metadata contain `metadata`, newest first.

        Each is {id, url}. On an account with more files than are read, the newest are looked
        through: a busy account uploads ever more, so no later try would find what this one does
        not. A file that is not found is deleted by Replicate after a day.
        """
        found: list[Json] = []

        def pick(each: Json) -> Json | None:
            return answers.file(each) if answers.carries(each, metadata) else None

        try:
            found.extend(self._listed("files", "/v1/files", since, pick))
        except Retryable as err:
            if err.code != "list_too_long":
                raise
            log.warning("replicate.files_not_searched", metadata=metadata, since=since.isoformat())
        return found

    def delete_file(self, file: str) -> bool:
        """Delete a file; return False if there is no such file."""
        return self._unless_missing("files.delete", lambda: self._sdk.files.delete(file))

    def create_prediction(self, request: Json) -> Json:
        """Start a prediction: {id, status}."""
        return self._call(
            "predictions.create",
            lambda: answers.state(
                self._sdk._request("POST", "/v1/predictions", json=request).json()
            ),
            repeatable=False,
        )

    def prediction(self, prediction: str) -> Json:
        """Read a prediction: {id, status, is_running, output, error, predict_seconds}.

        The SDK's own type is not used: it fails for a status that it does not know, such as
        `aborted`. Raises Permanent `not_found` if there is no such prediction.
        """
        path = f"/v1/predictions/{quote(prediction, safe='')}"
        return self._json("predictions.get", path, answers.prediction)

    def predictions(
        self,
        since: datetime,
        until: datetime,
        is_wanted: Callable[[Json], bool] = lambda _: True,
    ) -> Iterator[Json]:
        """The predictions created between these times, newest first, as Replicate sends them.

        The SDK drops `data_removed`. Those that are not wanted need no id and no status.
        """
        bounds = {"created_after": since, "created_before": until}
        query = urlencode({k: at.isoformat().replace("+00:00", "Z") for k, at in bounds.items()})

        def pick(each: Json) -> Json:
            if is_wanted(each):
                answers.state(each)  # raises for what cannot be used
            return each

        path = f"/v1/predictions?{query}"
        found = self._listed("predictions", path, since, pick, most_pages=_MOST_PREDICTION_PAGES)
        return (each for each in found if answers.time(each["created_at"]) <= until)

    def cancel_prediction(self, prediction: str) -> bool:
        """Cancel a prediction; return False if there is no such prediction.

        A second cancel changes nothing.
        """
        return self._unless_missing(
            "predictions.cancel",
            lambda: self._sdk._request(
                "POST", f"/v1/predictions/{quote(prediction, safe='')}/cancel"
            ),
        )

    def download(self, url: str) -> bytes:
        """Download an output of at most 40 MiB.

        Raises Permanent `result_expired` if its host says that it is gone for good. If its host
        does not know it, raises Retryable: the prediction itself tells if Replicate has removed it.
        """
        with http.operation(
            "replicate",
            "output.download",
            repeatable=True,
            read_seconds=_TRANSFER_SECONDS,
            max_bytes=MAX_OUTPUT_BYTES,
        ):
            reply = self._fetch(url)
            if reply.status == 404:
                raise Retryable("the host of the result does not know it", code="result_not_found")
            if reply.status == 410:
                raise Permanent(
                    "Replicate removed the result before it was downloaded", code="result_expired"
                )
            if reply.status in (401, 403):
                # Another host than the API may serve the file: this says nothing about our token.
                raise Retryable(
                    f"the host of the result answered {reply.status}", code="result_refused"
                )
            if reply.status != 200:
                # Whatever host it was, its answer is not quoted.
                raise http.refusal(
                    "the host of the result",
                    reply.status,
                    "no result",
                    setting=SETTING,
                    headers=reply.headers,
                )
        return reply.body

    def probe(self) -> None:
        """Make one cheap authenticated read."""
        self._call("probe", lambda: self._sdk._request("GET", "/v1/account"), repeatable=True)

    def _fetch(self, url: str) -> http.HttpReply:
        try:
            return fetch(url, self._headers_for)
        except Permanent as err:
            if err.code == REFUSED:
                # What was paid for is not given up while the vendor may still correct the address.
                raise Retryable(err.message, code=err.code) from err
            raise

    def _headers_for(self, url: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._may_see_token(url) else {}

    @property
    def _token(self) -> str:
        return self._settings.api_token.get_secret_value()

    def _may_see_token(self, url: str) -> bool:
        scheme, host, _port = there = origin(url)
        is_delivery = host == "replicate.delivery" or host.endswith(".replicate.delivery")
        return there == origin(self._settings.base_url) or (scheme == "https" and is_delivery)

    def _read_model(self, name: str) -> Model:
        owner_name, _, wanted = name.partition(":")
        path = f"/v1/models/{owner_name}" + (f"/versions/{wanted}" if wanted else "")
        return self._json(
            "models.get", path, lambda seen: model_of(name, seen, is_latest=not wanted)
        )

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
                read_seconds=_TRANSFER_SECONDS,
                max_bytes=_MAX_ANSWER_BYTES,
                spare=self._spare,
                slow_seconds=_SLOW_SECONDS.get(name, http.SLOW_SECONDS),
                demand=limits.demand(name),
            ),
            http.reading(),
        ):
            return perform()


def api() -> ReplicateApi:
    """The client with this process's settings. app.outbound owns its connections.

    Raises NotConfigured if the credential is not set.
    """
    return _api(ReplicateSettings.current())


@lru_cache(maxsize=4)
def _api(settings: ReplicateSettings) -> ReplicateApi:
    return ReplicateApi(settings)


def probe() -> None:
    """Raise an Outcome if Replicate does not answer or refuses the token."""
    api().probe()


def warm() -> None:
    """Import the SDK, which takes about 4 s."""
    import replicate  # noqa: F401 - the import is the point


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
        code="not_found" if reply.status == 404 else None,
        is_exhausted=reply.status == 402,
    )
