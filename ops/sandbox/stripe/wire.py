"""Stripe's wire format: form encoding, errors, expansion, lists and the search language.

https://docs.stripe.com/api/errors, /api/pagination, https://docs.stripe.com/search
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request

from ops.sandbox.store import Json
from ops.sandbox.wire import Refusal

API_VERSION = "2026-10-28.endive"
DOCS = "https://stripe.com/docs/error-codes/"
_LABELS = {
    "event": "notification",
    "payment_method": "PaymentMethod",
    "setup_intent": "setupintent",
    "checkout.session": "checkout.session",
}
"""What Stripe's errors call an object, where that is not the last part of its kind."""
_PARAMS = {"payment_intent": "intent", "setup_intent": "intent"}


def error(
    status: int,
    message: str,
    code: str | None = None,
    param: str | None = None,
    type_: str = "invalid_request_error",
    executed: bool = False,
    **more: Any,
) -> Refusal:
    """Return a Stripe error; if `executed`, it is stored under the idempotency key."""
    body: Json = {"message": message, "type": type_}
    if code:
        body |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
    if param:
        body["param"] = param
    return Refusal(status, {"error": body | more}, executed=executed)


def no_such(what: str, object_id: str, param: str) -> Refusal:
    """Return the error of an unknown id: 404, or 400 if the id is a parameter of another call."""
    param = _PARAMS.get(what, param) if param == "id" else param
    return error(404, f"No such {label(what)}: '{object_id}'", "resource_missing", param)


def label(kind: str) -> str:
    """Return what Stripe's errors call an object of a kind."""
    return _LABELS.get(kind, kind.rpartition(".")[2])


def with_log_url(raw: bytes, request_id: str) -> bytes:
    """Return an error of API v1 with the address of the request in the Dashboard's log."""
    try:
        body = json.loads(raw)
    except ValueError:
        return raw
    found = body.get("error") if isinstance(body, dict) else None
    if not isinstance(found, dict) or "type" not in found or "request_log_url" in found:
        return raw
    at = f"https://dashboard.stripe.com/test/workbench/logs?object={request_id}"
    return json.dumps({**body, "error": {**found, "request_log_url": at}}).encode()


def refuse_json(request: Request) -> None:
    """Raise Stripe's error for a JSON body, which API v1 does not read."""
    is_form = request.mimetype != "application/json"
    if request.method == "POST" and request.path.startswith("/v1/") and not is_form:
        message = (
            "Invalid request (check that your POST content type is "
            "application/x-www-form-urlencoded). If you have any questions, we can help at "
            "https://support.stripe.com/."
        )
        raise error(400, message)


def parse_form(text: str) -> Json:
    """Parse form parameters such as `a[b]=c`, `a[]=c` and `a[0]=c` into nested objects."""
    root: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        _insert(root, re.findall(r"[^\[\]]+|\[\]", name), value)
    return {name: _listed(value) for name, value in root.items()}


def _insert(node: Json, path: list[str], value: str) -> None:
    for part in path[:-1]:
        part = str(len(node)) if part == "[]" else part
        inner = node.setdefault(part, {})
        if not isinstance(inner, dict):
            raise error(400, f"Invalid object: {part}", param=part)
        node = inner
    last = path[-1] if path else ""
    node[str(len(node)) if last == "[]" else last] = value


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(each) for key, each in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def read_params(request: Request) -> Json:
    """Return the parameters of a request: those of the URL, and those of the body."""
    found = parse_form(request.query_string.decode())
    return found if request.method == "GET" else found | parse_form(request.get_data(as_text=True))


def integer(params: Json, name: str, default: int | None = None) -> int:
    """Return an integer parameter; raises Stripe's 400 if it is missing and has no default."""
    if name not in params:
        if default is not None:
            return default
        raise error(400, f"Missing required param: {name}.", "parameter_missing", name)
    if not re.fullmatch(r"-?\d+", str(params[name])):
        raise error(400, f"Invalid integer: {params[name]}", "parameter_invalid_integer", name)
    return int(params[name])


def boolean(params: Json, name: str) -> bool:
    """Return a boolean parameter; False if it is missing."""
    value = params.get(name, "false")
    if value not in ("true", "false"):
        raise error(400, f"Invalid boolean: {value}", "parameter_invalid_boolean", name)
    return bool(value == "true")


def refuse_unknown(params: Json, known: Iterable[str]) -> None:
    """Raise Stripe's error for an unknown parameter."""
    allowed = {*known, "expand"}
    surplus = [name for name in params if name not in allowed]
    if surplus:
        names = ", ".join(surplus)
        word = "parameter" if len(surplus) == 1 else "parameters"
        message = f"Received unknown {word}: {names}"
        raise error(400, message, "parameter_unknown", surplus[0])


def refuse_method_types(request: Request, params: Json) -> None:
    """Raise Stripe's error for `payment_method_types`, which version endive has removed.

    A request without a version has that of the account, which may be older.
    https://docs.stripe.com/changelog/endive/2026-09-30
    """
    version = request.headers.get("Stripe-Version", "")
    if "payment_method_types" in params and version >= "2026-09-30":
        message = (
            "`payment_method_types` is no longer supported. Use dynamic payment methods, "
            "`excluded_payment_method_types` or `allowed_payment_method_types`."
        )
        code = "payment_method_types_no_longer_supported"
        raise error(400, message, code, "payment_method_types")


def merged_metadata(old: dict[str, str], params: Json) -> dict[str, str]:
    """Return metadata with the changes of a request; an empty value removes its key."""
    given = params.get("metadata", {})
    if given == "":
        return {}
    if not isinstance(given, dict):
        raise error(400, "Invalid object", "parameter_invalid", "metadata")
    for key, value in given.items():
        _check_metadata(key, value)
    both = {key: value for key, value in {**old, **given}.items() if value != ""}
    if len(both) > 50:
        raise error(400, "You may only specify up to 50 keys in `metadata`.", param="metadata")
    return both


def _check_metadata(key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise error(400, "Invalid string: must be a string", param=f"metadata[{key}]")
    for what, text, most in (("key", key, 40), ("value", value, 500)):
        if len(text) > most:
            message = (
                f"Metadata {what}s can have up to {most} characters, but you passed in a {what} "
                f"that is {len(text)} characters. Invalid {what}: {text}"
            )
            raise error(400, message, param=f"metadata[{key}]" if what == "value" else "metadata")


def check_email(value: Any, param: str = "email") -> None:
    """Raise Stripe's error for what is no address of electronic mail; none may be given."""
    if value and not re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", str(value)):
        raise error(400, f"Invalid email address: {value}", "email_invalid", param)


Fetch = Callable[[str], Json | None]
Include = Callable[[Json, str], Any]


def nothing_included(body: Json, field: str) -> Any:
    """Raise KeyError: the object has no field that is shown on request only."""
    raise KeyError(field)


def expand(body: Json, paths: Any, fetch: Fetch, include: Include = nothing_included) -> Json:
    """Return the object with the ids at the dotted `paths` replaced by the objects of these ids.

    `include` returns a field that Stripe shows only if it is named, or raises KeyError.
    """
    if isinstance(paths, str):
        paths = [paths]
    for path in paths or []:
        body = _expanded(body, str(path).split("."), str(path), fetch, include)
    return body


def _expanded(node: Any, path: list[str], whole: str, fetch: Fetch, include: Include) -> Any:
    if not path:
        return node
    if isinstance(node, list):
        found = [fetch(each) or each if isinstance(each, str) else each for each in node]
        return [_expanded(each, path, whole, fetch, include) for each in found]
    try:
        value = node[path[0]] if path[0] in node else include(node, path[0])
    except (KeyError, TypeError, AttributeError):
        message = f"This property cannot be expanded ({whole})."
        raise error(400, message, param="expand") from None
    if isinstance(value, str):
        value = fetch(value) or value
    if isinstance(value, list):
        value = [fetch(each) or each if isinstance(each, str) else each for each in value]
    rest = path[1:]
    return {**node, path[0]: _expanded(value, rest, whole, fetch, include) if value else value}


def page_size(params: Json) -> int:
    """Return the size of a page, 10 if none is given; raises Stripe's error for a wrong one."""
    limit = integer(params, "limit", 10)
    if not 1 <= limit <= 100:
        message = f"This value must be {'less' if limit > 100 else 'greater'} than or equal to "
        raise error(400, message + ("100." if limit > 100 else "1."), param="limit")
    return limit


def page(objects: list[Json], params: Json, url: str) -> Json:
    """Return one page of a list that starts with the newest object."""
    limit = page_size(params)
    ids = [each["id"] for each in objects]
    start, end = 0, len(objects)
    for name in ("starting_after", "ending_before"):
        if name in params and params[name] not in ids:
            kind = objects[0]["object"] if objects else url.rpartition("/")[2].removesuffix("s")
            message = f"No such {label(kind)}: '{params[name]}'"
            raise error(400, message, "resource_missing", name)
    if "starting_after" in params:
        start = ids.index(params["starting_after"]) + 1
    if "ending_before" in params:
        end = ids.index(params["ending_before"])
        start = max(0, end - limit)
    shown = objects[start:end][:limit]
    more = start > 0 if "ending_before" in params else end - start > limit
    return {"object": "list", "data": shown, "has_more": more, "url": url}


def created_between(objects: list[Json], params: Json) -> list[Json]:
    """Return the objects that match the `created` filter."""
    return between(objects, params, "created")


def between(objects: list[Json], params: Json, field: str) -> list[Json]:
    """Return the objects that match the filter of a time (a time, or gt/gte/lt/lte)."""
    wanted = params.get(field)
    if wanted is None:
        return objects
    if not isinstance(wanted, dict):
        wanted = {"gte": wanted, "lte": wanted}
    tests: dict[str, Callable[[int, int], bool]] = {
        "gt": lambda a, b: a > b,
        "gte": lambda a, b: a >= b,
        "lt": lambda a, b: a < b,
        "lte": lambda a, b: a <= b,
    }
    for name, bound in wanted.items():
        param = f"{field}[{name}]" if isinstance(params[field], dict) else field
        limit = integer({param: bound}, param)
        objects = [each for each in objects if tests[name](each[field], limit)]
    return objects
