"""An imitation of Replicate on one port: its API, its streams and its files of results.

Replicate has no idempotency keys and no metadata: a prediction can be recognised only by its input.
Requests are checked by Replicate's own description (`described.py`).
https://replicate.com/docs/reference/http
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box
from ops.sandbox.faults import Fault
from ops.sandbox.limits import Window
from ops.sandbox.replicate import described, problems
from ops.sandbox.replicate.problems import problem
from ops.sandbox.replicate.registry import Registry
from ops.sandbox.replicate.routes.account import Account
from ops.sandbox.replicate.routes.deployments import Deployments
from ops.sandbox.replicate.routes.discovery import Discovery
from ops.sandbox.replicate.routes.files import Files
from ops.sandbox.replicate.routes.models import Models
from ops.sandbox.replicate.routes.predictions import Predictions
from ops.sandbox.replicate.routes.trainings import Trainings
from ops.sandbox.replicate.runs import Runs
from ops.sandbox.wire import Call, Route, Vendor, bearer

_OPEN = ("delivery.get", "predictions.stream", "search")
"""What needs no token: addresses that cannot be guessed, and the search."""
_CREATIONS = ("predictions.create", "models.predictions.create", "deployments.predictions.create")
_PAID = (*_CREATIONS, "trainings.create")
_REDUCED_SECONDS = 10.0
"""An account without credit or payment method may create one prediction in so many seconds."""


class Replicate(Vendor):
    """The WSGI application on Replicate's port (the base URL does not include /v1)."""

    name = "replicate"

    def __init__(self, box: Box) -> None:
        registry = Registry(box.store)
        self.runs = Runs(box, registry)
        self.files = Files(box)
        self._routes: list[Route] = [
            *Predictions(box, registry, self.runs).routes(),
            *Deployments(box, registry, self.runs).routes(),
            *Trainings(box, registry).routes(),
            *Models(box, registry, self.runs).routes(),
            *Discovery(box, registry).routes(),
            *Account(box).routes(),
            *self.files.routes(),
        ]
        self._windows: dict[tuple[str, int, float], Window] = {}
        super().__init__(box)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return self._routes

    def authenticate(self, call: Call) -> None:
        """Raise Replicate's 401 if the token is wrong; result files and signed URLs need none."""
        if call.operation in _OPEN or self.files.is_signed(call):
            return
        token = bearer(call.request)
        if token != self.box.credentials.REPLICATE_API_TOKEN:
            detail = "You did not pass an authentication token"
            if token is not None:
                detail = "You did not pass a valid authentication token"
            raise problem(401, "Unauthenticated", detail)
        self._limit(call)

    def perform(self, call: Call, run: Callable[[], Response]) -> Response:
        """Run the handler of a request that is as described."""

        def checked() -> Response:
            described.check(call)
            if call.operation in _PAID and self.box.settings.text("replicate.credit") == "none":
                raise problems.without_credit()
            return run()

        return super().perform(call, checked)

    def missing(self, request: Request) -> Response:
        """Return Replicate's 404."""
        return problems.not_found().response()

    def failure(self, status: int, fault: Fault) -> Response:
        """Return a problem document in Replicate's format."""
        if status == 429:
            return problems.throttled(int(fault.parameters.get("retry_after", 1))).response()
        detail = fault.parameters.get("message", "Internal server error")
        return problem(status, "Internal server error", detail).response()

    def finish(self, call: Call, response: Response) -> Response:
        """Mark errors as problem+json, and tell what is left of the limit."""
        if response.status_code >= 400 and response.mimetype == "application/json":
            response.content_type = "application/problem+json"
        if "left" in call.notes:
            # https://github.com/replicate/replicate-python/issues/380
            response.headers["ratelimit-remaining"] = str(call.notes["left"])
            response.headers["ratelimit-reset"] = str(call.notes["reset"])
        return response

    def _limit(self, call: Call) -> None:
        """Raise the 429 of an account that may send so few requests in a window."""
        settings = self.box.settings
        is_creation = call.operation in _CREATIONS
        kind = "creations" if is_creation else "requests"
        allowed = int(settings.number(f"replicate.{kind}_per_window"))
        seconds = settings.number("replicate.window_seconds")
        why = problems.REDUCTIONS.get(settings.text("replicate.credit"), "") if is_creation else ""
        if why:
            allowed, seconds = 1, _REDUCED_SECONDS
        # Another limit begins with a window of its own.
        window = self._windows.setdefault((kind, allowed, seconds), Window())
        left, wait = window.take(allowed, seconds)
        call.notes |= {"left": max(0, left - 1), "reset": max(1, math.ceil(wait))}
        if left <= 0:
            raise problems.throttled(call.notes["reset"], why)
