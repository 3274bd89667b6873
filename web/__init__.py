"""The HTTP side: a Flask application that calls commands and queries and knows nothing of Celery.

Every error response is a problem document (web/errors.py). Every JSON request body is parsed by
web/bodies.py.
"""

import logging
import re
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from flask import Request, Response
from flask.globals import app_ctx, request_ctx
from flask_openapi.models.info import Info
from flask_openapi.openapi import OpenAPI
from werkzeug.routing import MapAdapter

import tasks
from app import caching, telemetry
from app.settings import Settings, current
from web import errors, targets
from web.api import (
    actions,
    artifacts,
    attention,
    calendars,
    control,
    dead_letters,
    definitions,
    flow,
    groups,
    platforms,
    queues,
    schedules,
    webhooks,
    workflows,
)
from web.archive import api as archive
from web.auth import SECURITY_SCHEMES
from web.bodies import MAX_JSON_BYTES, JsonProvider, StrictRequest
from web.conditional import keep
from web.files import files
from web.hooks import hooks
from web.incoming import events, sources, triggers
from web.money import api as money
from web.operations import operations
from web.pages import REDOC, pages
from web.prompts import api as prompts
from web.remembered import note_write, remembering
from web.schemas.problems import Problem
from web.shares import shares
from web.watching import Watch

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DOCUMENTS = "/openapi"
# Anybody can invent methods, and each value of a label costs memory for as long as the server runs.
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
# The documentation pages load their scripts and styles from this server; some are inline.
_DOCUMENTS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:"
)

log = telemetry.logger("web")
_LOGGED = logging.getLogger("web")


class _Application(OpenAPI):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function. Flask would inspect each one at each request, but none is async."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """What finds the view of a request. No route depends on the server's name, so it is not
        looked for."""
        if request is None:
            return super().create_url_adapter(None)
        return self.url_map.bind(
            "localhost", request.root_path, None, request.scheme, request.method, request.path
        )


def create_app(settings: Settings) -> OpenAPI:
    """Create the application. It opens no connection to a store before its first request."""
    app = routes()
    configure(app, settings)
    return app


def configure(app: OpenAPI, settings: Settings) -> None:
    """Give the application its settings, with nothing counted or watched yet."""
    app.extensions["settings"] = settings
    app.extensions |= shares(settings) | remembering(settings)
    app.extensions["watch"] = Watch()


def routes() -> OpenAPI:
    """The application without settings: what it answers, and its documentation."""
    app = _Application(
        __name__,
        info=Info(
            title="Playalter", version="1", description="Durable workflows over paid platforms."
        ),
        security_schemes=SECURITY_SCHEMES,
        validation_error_model=Problem,
        validation_error_callback=errors.refuse_fields,
        doc_prefix=_DOCUMENTS,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"
    app.request_class = StrictRequest
    app.json = JsonProvider(app)
    app.config["MAX_CONTENT_LENGTH"] = MAX_JSON_BYTES
    app.config["REDOC_HTML_STRING"] = REDOC
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    errors.register(app)
    app.before_request(_begin)
    app.after_request(_end)
    for part in (
        workflows.api,
        control.api,
        attention.api,
        dead_letters.api,
        platforms.api,
        queues.api,
        flow.api,
        schedules.api,
        calendars.api,
        webhooks.api,
        artifacts.api,
        definitions.api,
        prompts.api,
        groups.api,
        actions.api,
        archive.api,
        money.api,
        events.api,
        triggers.api,
        sources.api,
        files,
        hooks,
        sources.hooks,
    ):
        app.register_api(part)
    app.register_blueprint(operations)
    app.register_blueprint(pages)
    return app


def create_app_from_environment() -> OpenAPI:
    """Create the application of a server process: read its settings and configure its logs."""
    settings = current()
    tasks.check()
    caching.share(settings.redis_url, telemetry.cache_answered)
    telemetry.configure_logs(settings)
    return create_app(settings)


def _begin() -> None:
    # Flask looks up the request and `g` again at each use, which takes as long as this function.
    kept, request = app_ctx.g, request_ctx.request
    kept.request, kept.started = request, time.monotonic()
    sent = request.environ.get("HTTP_X_REQUEST_ID")
    kept.request_id = sent if sent and _REQUEST_ID.fullmatch(sent) else token_hex(16)
    telemetry.clear_log()
    telemetry.bind_log(request_id=kept.request_id)
    targets.check(request)


def _end(response: Response) -> Response:
    kept, headers = app_ctx.g, response.headers
    request = kept.request
    seconds = time.monotonic() - kept.started
    route = request.url_rule.rule if request.url_rule else "unknown"
    method = request.method if request.method in _METHODS else "other"
    keep(route, request, response)
    note_write()
    telemetry.answered(method, route, response.status_code, seconds)
    headers.add("X-Request-ID", kept.request_id)
    headers.add("X-Content-Type-Options", "nosniff")
    if route.startswith(_DOCUMENTS):
        headers["Content-Security-Policy"] = _DOCUMENTS_POLICY
    if _LOGGED.isEnabledFor(logging.INFO):
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            milliseconds=round(seconds * 1000, 1),
        )
    return response
