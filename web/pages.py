"""The pages for people: an index of what this server offers, and the page of Redoc.

No API key is needed.
"""

from flask import Blueprint, Response, jsonify, render_template_string, request

pages = Blueprint("pages", __name__)

_HTML = "text/html"
_LINKS = {
    "/openapi/redoc": "the HTTP API, to read (Redoc)",
    "/openapi/swagger": "the HTTP API, to try out (Swagger UI)",
    "/openapi/openapi.json": "the HTTP API as an OpenAPI document",
    "/v1/actions": "the actions that a definition may use (needs an API key)",
    "/v1/definitions": "the types of workflow that can be started (needs an API key)",
    "/healthz": "whether this process is alive",
    "/readyz": "whether it reaches its stores",
    "/metrics": "metrics for Prometheus",
}
_INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Playalter</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; }
  code { font-size: 1.05em; }
</style>
<h1>Playalter</h1>
<p>Durable workflows over paid platforms. An API key is sent as
<code>Authorization: Bearer pa_...</code>; <code>playalter keys create EMAIL</code> creates one.</p>
<ul>{% for path, words in links.items() %}
  <li><a href="{{ path }}"><code>{{ path }}</code></a>: {{ words }}</li>{% endfor %}
</ul>
</html>
"""
_INDEX_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

REDOC = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Playalter's HTTP API</title>
<link rel="icon" href="redoc/images/redoc.svg">
<style>body { margin: 0; }</style>
<div id="redoc"></div>
<script type="module">
  import { init } from "./redoc/js/redoc.standalone.js";
  init("{{ doc_url }}", { disableTelemetry: true }, document.getElementById("redoc"));
</script>
</html>
"""
"""The page of the package flask-openapi-redoc loads Redoc as a plain script; since version 3 Redoc
is a module."""


@pages.get("/")
def index() -> Response:
    """The paths of this server: as a page for a browser, otherwise as JSON."""
    wanted = request.accept_mimetypes.best_match(["application/json", _HTML])
    if wanted != _HTML:
        return jsonify({"name": "Playalter", "links": _LINKS})
    response = Response(render_template_string(_INDEX, links=_LINKS), mimetype=_HTML)
    response.headers["Content-Security-Policy"] = _INDEX_POLICY
    return response
