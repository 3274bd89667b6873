"""Refuses requests that do not say clearly which server they are for.

A proxy may have decided by another name than ours, and two servers may read such a request
differently. https://www.rfc-editor.org/rfc/rfc9112#section-3.2
"""

from urllib.parse import urlsplit

from flask import Request, current_app

from app.settings import Settings
from web.errors import BadHead


def check(request: Request) -> None:
    """Raise BadHead for a request without Host, or with the whole address of another server."""
    environ = request.environ
    host = environ.get("HTTP_HOST", "").strip()
    if not host and environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
        raise BadHead("the request has no Host header; send one", code="host_missing")
    sent = environ.get("RAW_URI", "").partition("?")[0]
    if sent.startswith("/"):
        return  # a path, as in nearly all requests
    target = urlsplit(sent)
    if target.scheme and target.netloc not in _own_names(host):
        raise BadHead(
            "the request names the whole address of another server; send only its path,"
            " and the server in the Host header",
            code="foreign_target",
        )


def _own_names(host: str) -> set[str]:
    settings: Settings = current_app.extensions["settings"]
    listening = f"{settings.web_host}:{settings.web_port}"
    return {host} & {urlsplit(str(settings.public_base_url)).netloc, listening}
