"""An imitation of OpenAI: it joins the families of operations, and checks the key of each call.

The seed and the prompt determine the text. Moderation is a list of words (moderation.py), so
that tests know which inputs are flagged. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box, token36
from ops.sandbox.faults import Fault
from ops.sandbox.openai import wire
from ops.sandbox.openai.audio.operations import Audio
from ops.sandbox.openai.batches.operations import Batches
from ops.sandbox.openai.batches.work import Prepare, at_once
from ops.sandbox.openai.chat.operations import Chat
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.embeddings.operations import Embeddings
from ops.sandbox.openai.files.operations import Files
from ops.sandbox.openai.files.shelf import Shelf
from ops.sandbox.openai.hooks.endpoints import WebhookEndpoints
from ops.sandbox.openai.hooks.events import Hooks
from ops.sandbox.openai.images.operations import Images
from ops.sandbox.openai.models.operations import Models
from ops.sandbox.openai.moderation import Moderations
from ops.sandbox.openai.quotas import rate_limited
from ops.sandbox.openai.responses.all import Responses
from ops.sandbox.wire import Call, Route, Vendor, bearer

BATCHED = ("/v1/responses", "/v1/chat/completions")
"""The endpoints that may be those of a batch and need no preparation."""


class OpenAI(Vendor):
    """The WSGI application on OpenAI's port (the base URL ends with /v1)."""

    name = "openai"

    def __init__(self, box: Box) -> None:
        desk, hooks = Desk(box), Hooks(box)
        shelf, images, embeddings = Shelf(desk), Images(desk), Embeddings(desk)
        moderations, writers = Moderations(desk), (Chat(desk), Responses(desk, hooks, shelf))
        work = _work_of([route for family in writers for route in family.routes()])
        work |= {
            "/v1/embeddings": ("embeddings.create", embeddings.prepare),
            "/v1/images/generations": ("images.generate", images.prepare),
            "/v1/moderations": ("moderations.create", moderations.prepare),
        }
        self._families = (
            *writers,
            *(moderations, embeddings, images, Audio(desk), Models(desk), Files(desk, shelf)),
            *(Batches(desk, shelf, hooks, work), WebhookEndpoints(desk, hooks)),
        )
        super().__init__(box)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints of all families."""
        return [route for family in self._families for route in family.routes()]

    def authenticate(self, call: Call) -> None:
        """Raise OpenAI's 401 if the key is wrong."""
        call.notes["request_id"] = f"req_{token36(32)}"
        key = bearer(call.request)
        if key is None:
            message = (
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
            raise wire.error(401, message)
        if key != self.box.credentials.OPENAI_API_KEY:
            masked = f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"
            message = (
                f"Incorrect API key provided: {masked}. You can find your API key at "
                "https://platform.openai.com/account/api-keys."
            )
            raise wire.error(401, message, None, "invalid_api_key")

    def missing(self, request: Request) -> Response:
        """Return OpenAI's response for an unknown URL."""
        return wire.error(404, f"Invalid URL ({request.method} {request.path})").response()

    def failure(self, status: int, fault: Fault) -> Response:
        """Return an error in OpenAI's format; the fault's `code` may be one of `wire.KNOWN`."""
        words, code = str(fault.parameters.get("message", "")), fault.parameters.get("code")
        if code in wire.KNOWN:
            return wire.known(str(code), words).response()
        if status == 429:
            return rate_limited(float(fault.parameters.get("retry_after", 1))).response()
        return wire.outage(status, words).response()

    def finish(self, call: Call, response: Response) -> Response:
        """Add the headers with the request id, and what the quotas of the model have left."""
        more = {
            "x-request-id": call.notes["request_id"],
            "openai-organization": "playalter-sandbox",
            "openai-processing-ms": "12",
            "openai-version": "2020-10-01",
        }
        for name, value in (more | call.notes.get("quota", {})).items():
            response.headers.setdefault(name, value)
        return response


def _work_of(routes: Sequence[Route]) -> dict[str, tuple[str, Prepare]]:
    """Return the operation and the work of each endpoint that needs no preparation."""
    return {
        path: (operation, at_once(handler))
        for method, path, operation, handler in routes
        if method == "POST" and path in BATCHED
    }
