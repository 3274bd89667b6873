"""The pages that the imitated Vercel publishes, on their own port.

A deployment is found by its url, in the Host header or in the first part of the path. For a deleted
deployment the response is DEPLOYMENT_NOT_FOUND, and also for some time after it is READY if the
settings say so. Deployment Protection asks visitors to log in.
"""

from __future__ import annotations

import mimetypes
import posixpath
import time
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import Box, token36
from ops.sandbox.store import Row
from ops.sandbox.wire import Call, Route, Vendor

BYPASS = "vercel.protection_bypass"
LOGIN = "https://vercel.com/sso-api?url=https%3A%2F%2Fpage.vercel.app"
LOGIN_PAGE = "<!doctype html><title>Authentication Required</title><h1>Log in to Vercel</h1>"


def find_deployment(box: Box, id_or_url: str) -> Row | None:
    """Return the deployment with an id or url, or the newest ready deployment of an alias."""
    row = box.store.get("deployment", id_or_url)
    if row is None:
        where = "json_extract(body, '$.url') = ?"
        row = next(iter(box.store.query("deployment", where, (id_or_url,), 1)), None)
    if row is None:
        where = "json_extract(body, '$.alias[0]') = ? AND json_extract(body, '$.status') = 'READY'"
        row = next(iter(box.store.query("deployment", where, (id_or_url,), 1)), None)
    return row


class Pages(Vendor):
    """The WSGI application that serves deployments by Host header or as /<url>/<path>."""

    name = "pages"

    def routes(self) -> Sequence[Route]:
        """Return the routes that serve every path."""
        return [
            ("GET", "/", "pages.get", self._serve),
            ("GET", "/<path:path>", "pages.get", self._serve),
        ]

    def _serve(self, call: Call, path: str = "") -> Response:
        row = find_deployment(self.box, call.request.host.partition(":")[0])
        if row is None:
            host, slash, path = path.partition("/")
            row = find_deployment(self.box, host)
            if row is not None and not slash:
                return Response(status=308, headers={"Location": f"/{host}/"})
        if row is None:
            message = "The deployment could not be found on Vercel."
            return _page_error(message, "DEPLOYMENT_NOT_FOUND")
        if row.body["readyState"] != "READY":
            return _page_error("The deployment is not ready yet.", "DEPLOYMENT_NOT_READY")
        served_at = row.body["ready"] / 1000 + self.box.settings.number("vercel.alias_seconds")
        if time.time() < served_at:
            return _page_error(
                "The deployment could not be found on Vercel.", "DEPLOYMENT_NOT_FOUND"
            )
        if not self._may_see(call):
            return self._login()
        return self._file(row.body["sandbox"]["files"], path)

    def _may_see(self, call: Call) -> bool:
        """Whether Deployment Protection is off, or the visitor has the secret of its bypass."""
        name, secret = "x-vercel-protection-bypass", self.box.settings.text(BYPASS)
        given = call.request.headers.get(name) or call.request.args.get(name)
        return self.box.settings.text("vercel.protection") == "off" or given == secret != ""

    def _login(self) -> Response:
        """Answer as Deployment Protection does: 401 with a page, or a redirect to a login."""
        headers = {"Server": "Vercel", "Set-Cookie": f"_vercel_sso_nonce={token36(24)}; HttpOnly"}
        if self.box.settings.text("vercel.protection") == "login":
            return Response(status=302, headers=headers | {"Location": LOGIN})
        return Response(LOGIN_PAGE, 401, headers, content_type="text/html; charset=utf-8")

    def _file(self, files: dict[str, str], path: str) -> Response:
        name = posixpath.normpath("/" + path).lstrip("/")
        if path.endswith("/") or not name:
            name = posixpath.join(name, "index.html")
        digest = files.get(name)
        data = self.box.store.read_blob(f"sha1-{digest}") if digest else None
        if data is None:
            return _page_error("The page could not be found", "NOT_FOUND")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        headers = {
            "Cache-Control": "public, max-age=0, must-revalidate",
            "ETag": f'"{digest}"',
            "Server": "Vercel",
            "X-Vercel-Cache": "HIT",
        }
        return Response(data, headers=headers, content_type=kind)


def _page_error(message: str, code: str) -> Response:
    text = f"{message}\n\n{code}\n\niad1::{token36(5)}-{int(time.time() * 1000)}\n"
    headers = {"X-Vercel-Error": code, "Server": "Vercel"}
    return Response(text, 404, headers, content_type="text/plain; charset=utf-8")
