"""Typed calls to Replicate: predictions, models, files and results.

https://replicate.com/docs/reference/http
"""

import io
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, unquote, urlencode, urlsplit

import structlog

from app.caching import Cache, key_of
from app.errors import Permanent, Retryable
from app.outbound import http
from app.outbound.destinations import REFUSED
from app.outbound.fetching import fetch, origin
from app.platform import Json
from tasks.replicate import answers
from tasks.replicate.answers import Model, model_of
from tasks.replicate.rest import SETTING, TRANSFER_SECONDS, Rest
from tasks.replicate.settings import ReplicateSettings

log = structlog.get_logger()

MAX_OUTPUT_BYTES = 40 * 1024 * 1024
_MODELS = Cache("replicate.model", seconds=300, own_seconds=300)
"""What `ReplicateApi.model` has read. A new version of a model is used within ten minutes."""
_MOST_PREDICTION_PAGES = 80
"""More than an account may create, 600 in a minute, within the time in which one is looked for."""
_LEAST_WINDOW = timedelta(seconds=2)
_LONG = ("output", "logs")
_SENT = ("version", "input", "webhook", "webhook_events_filter")
_TRAINED = ("destination", "input", "webhook", "webhook_events_filter")
_RELEASE = ("version", "hardware", "min_instances", "max_instances")


@dataclass(frozen=True)
class Delivered:
    """A downloaded file, and its type as its host says it; empty if it says none."""

    data: bytes
    content_type: str


class ReplicateApi(Rest):
    """The calls to Replicate that the actions make."""

    def model(self, name: str) -> Model:
        """The model `owner/name:version`, or the latest version of `owner/name`.

        It is read from Replicate by one process for all, and kept for 5 to 10 minutes.
        """
        # A private model is known to its account only, and another release may keep other fields.
        key = key_of(self._settings.base_url, self._token, name, [*Model.__annotations__])
        return Model(**_MODELS.get(key, lambda: asdict(self._read_model(name))))

    def deployment(self, name: str) -> Json:
        """What the deployment `owner/name` runs now: {model, version, hardware, number,
        min_instances, max_instances}."""
        return self._json("deployments.get", f"/v1/deployments/{name}", answers.deployment)

    def deployment_or_none(self, name: str) -> Json | None:
        """As `deployment`; None if there is no such deployment."""
        try:
            return self.deployment(name)
        except Permanent as err:
            if err.code == "not_found":
                return None
            raise

    def create_deployment(self, request: Json) -> Json:
        """Create a deployment of the account: as `deployment`."""
        body = {each: request[each] for each in ("name", "model", *_RELEASE)}
        path, read = "/v1/deployments", answers.deployment
        return self._change("deployments.create", "POST", path, read, body=body)

    def update_deployment(self, request: Json) -> Json:
        """Give the deployment `full_name` another release: as `deployment`."""
        body = {each: request[each] for each in _RELEASE}
        path, read = f"/v1/deployments/{request['full_name']}", answers.deployment
        return self._change("deployments.update", "PATCH", path, read, body=body)

    def delete_deployment(self, name: str) -> bool:
        """Delete a deployment; return False if there is none. Raises Permanent if it is in use."""
        path = f"/v1/deployments/{name}"
        return self._unless_missing(
            "deployments.delete", lambda: self._sdk._request("DELETE", path)
        )

    def account(self) -> str:
        """The name of the account that the token belongs to."""
        path = "/v1/account"
        return self._json("account.get", path, lambda seen: http.text_at(seen, "username"))

    def create_training(self, request: Json) -> Json:
        """Start a training: {id, status}."""
        path = f"/v1/models/{request['model']}/versions/{request['version']}/trainings"
        body = {each: request[each] for each in _TRAINED if each in request}
        return self._change("trainings.create", "POST", path, answers.state, body=body)

    def training(self, training: str) -> Json:
        """Read a training: {id, status, is_running, error, version, weights, predict_seconds}."""
        path = f"/v1/trainings/{quote(training, safe='')}"
        return self._json("trainings.get", path, answers.training)

    def trainings(
        self, since: datetime, until: datetime, is_wanted: Callable[[Json], bool]
    ) -> Iterator[Json]:
        """The wanted trainings created between these times, newest first, as they are sent."""

        def pick(each: Json) -> Json | None:
            if not is_wanted(each):
                return None
            answers.state(each)
            return each

        found = self._listed("trainings", "/v1/trainings", since, pick)
        return (each for each in found if answers.time(each["created_at"]) <= until)

    def cancel_training(self, training: str) -> bool:
        """Cancel a training; return False if there is no such training."""
        path = f"/v1/trainings/{quote(training, safe='')}/cancel"
        return self._unless_missing("trainings.cancel", lambda: self._sdk._request("POST", path))

    def delete_version(self, version: str) -> bool:
        """Delete the version `owner/name:id` of a private model; return False if there is none."""
        name, _, id = version.partition(":")
        path = f"/v1/models/{name}/versions/{quote(id, safe='')}"
        return self._unless_missing(
            "models.versions.delete", lambda: self._sdk._request("DELETE", path)
        )

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
        """Start a prediction: {id, status}.

        The request has a `version`, or names an official model or a deployment by `official` or
        `deployment`. Replicate ends the prediction `cancel_after` seconds after its creation.
        """
        path = "/v1/predictions"
        if "deployment" in request:
            path = f"/v1/deployments/{request['deployment']}/predictions"
        elif "official" in request:
            path = f"/v1/models/{request['official']}/predictions"
        is_named = path != "/v1/predictions"
        body = {
            name: request[name]
            for name in _SENT
            if name in request and not (is_named and name == "version")
        }
        lasts = request.get("cancel_after")
        headers = None if lasts is None else {"Cancel-After": f"{lasts}s"}
        return self._change(
            "predictions.create", "POST", path, answers.state, body=body, headers=headers
        )

    def prediction(self, prediction: str) -> Json:
        """Read a prediction: {id, status, is_running, output, error, predict_seconds}.

        Raises Permanent `not_found` if there is no such prediction.
        """
        path = f"/v1/predictions/{quote(prediction, safe='')}"
        return self._json("predictions.get", path, answers.prediction)

    def sent_prediction(self, prediction: str) -> Json | None:
        """A prediction as Replicate sends it; None if there is no such prediction."""
        return self._sent("predictions", prediction)

    def sent_training(self, training: str) -> Json | None:
        """A training as Replicate sends it; None if there is no such training."""
        return self._sent("trainings", training)

    def predictions(
        self,
        since: datetime,
        until: datetime,
        is_wanted: Callable[[Json], bool] = lambda _: True,
    ) -> Iterator[Json]:
        """The predictions created between these times, newest first, as Replicate sends them, but
        without outputs and logs.

        Those that are not wanted need no id and no status. Outputs may make a page of the list too
        large to be read. Then the time is read in halves; raises Permanent `answer_too_large` if
        that does not help within two seconds.
        """
        known: set[str] = set()
        oldest = until
        try:
            for each in self._predictions(since, until, is_wanted):
                oldest = answers.time(each["created_at"])
                if str(each.get("id")) not in known:
                    known.add(str(each.get("id")))
                    yield each
        except Permanent as err:
            if err.code != "answer_too_large" or oldest - since < _LEAST_WINDOW:
                raise
            oldest = min(until, oldest + timedelta(seconds=1))
            middle = since + (oldest - since) / 2
            for window in ((middle, oldest), (since, middle)):
                for each in self.predictions(*window, is_wanted):
                    if str(each.get("id")) not in known:
                        known.add(str(each.get("id")))
                        yield each

    def _predictions(
        self, since: datetime, until: datetime, is_wanted: Callable[[Json], bool]
    ) -> Iterator[Json]:
        bounds = {"created_after": since, "created_before": until}
        query = urlencode({k: at.isoformat().replace("+00:00", "Z") for k, at in bounds.items()})

        def pick(each: Json) -> Json:
            if is_wanted(each):
                answers.state(each)  # raises for what cannot be used
            return {name: value for name, value in each.items() if name not in _LONG}

        path = f"/v1/predictions?{query}"
        found = self._listed("predictions", path, since, pick, most_pages=_MOST_PREDICTION_PAGES)
        return (each for each in found if answers.time(each["created_at"]) <= until)

    def cancel_prediction(self, prediction: str) -> bool:
        """Cancel a prediction; return False if there is no such prediction.

        A second cancel changes nothing.
        """
        path = f"/v1/predictions/{quote(prediction, safe='')}/cancel"
        return self._unless_missing("predictions.cancel", lambda: self._sdk._request("POST", path))

    def download(self, url: str) -> Delivered:
        """Download an output of at most 40 MiB, with the type that its host says.

        Raises Permanent `result_expired` if its host says that it is gone for good. If its host
        does not know it, raises Retryable: the prediction itself tells if Replicate has removed it.
        """
        with http.operation(
            "replicate",
            "output.download",
            repeatable=True,
            read_seconds=TRANSFER_SECONDS,
            max_bytes=min(MAX_OUTPUT_BYTES, self._most_bytes),
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
        return Delivered(reply.body, reply.headers.get("content-type", ""))

    def serves(self, url: str) -> bool:
        """Whether an address is that of a file of Replicate, and no text that a model has made.

        A model may name any address, so those of the API itself are none.
        """
        try:
            scheme, host, _port = there = origin(url)
            path = posixpath.normpath(unquote(urlsplit(url).path))
        except ValueError:
            return False
        if there == origin(self._settings.base_url):
            return path.lstrip("/").partition("/")[0] != "v1"
        is_delivery = host == "replicate.delivery" or host.endswith(".replicate.delivery")
        return scheme == "https" and is_delivery

    def probe(self) -> None:
        """Make one cheap authenticated read."""
        self._call("probe", lambda: self._sdk._request("GET", "/v1/account"), repeatable=True)

    def _fetch(self, url: str) -> http.HttpReply:
        try:
            # Without our token: a model may name any address, and who asked it gets what is there.
            return fetch(url, lambda _: {})
        except Permanent as err:
            if err.code == REFUSED:
                # What was paid for is not given up while the vendor may still correct the address.
                raise Retryable(err.message, code=err.code) from err
            raise

    def _sent(self, what: str, id: str) -> Json | None:
        def read(seen: Json) -> Json:
            answers.state(seen)  # raises for what cannot be used
            whole: Json = http.bounded(seen)
            return whole

        try:
            return self._json(f"{what}.get", f"/v1/{what}/{quote(id, safe='')}", read)
        except Permanent as err:
            if err.code == "not_found":
                return None
            raise

    def _read_model(self, name: str) -> Model:
        owner_name, _, wanted = name.partition(":")
        path = f"/v1/models/{owner_name}" + (f"/versions/{wanted}" if wanted else "")
        return self._json("models.get", path, lambda seen: model_of(seen, is_latest=not wanted))


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
