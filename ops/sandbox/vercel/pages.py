"""The pages that the imitated Vercel publishes, on their own port.

A deployment is found by its url, in the Host header or in the first part of the path. For a deleted
deployment the response is DEPLOYMENT_NOT_FOUND.
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
        return self._file(row.body["sandbox"]["files"], path)

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
