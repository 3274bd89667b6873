"""Stripe's own description of its objects and parameters: `shapes.json` and `parameters.json`.

Invariant: an object is made by filling the shape of its kind, so that no field is missing. The
schema of parameters is explained in `tests/sandbox/stripe/sdk.py`, which reads it from the SDK.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.resources import unbuilt
from ops.sandbox.stripe.wire import API_VERSION, error, refuse_method_types
from ops.sandbox.wire import Call

_FOLDER = Path(__file__).parents[1]
SHAPES: Json = json.loads((_FOLDER / "shapes.json").read_text())
PARAMETERS: Json = json.loads((_FOLDER / "parameters.json").read_text())
VERSIONS: tuple[str, ...] = tuple(PARAMETERS["webhook_endpoint_create"]["api_version"])
"""The versions of the API. Those of previews are not among them."""
PAGING: Json = {"limit": "int", "starting_after": "str", "ending_before": "str"}
_METHOD_TYPES: Json = {"payment_method_types": {"*": "str"}}
_PHASES: Json = {
    "*": PARAMETERS["subscription_schedule_create"]["phases"]["*"] | {"iterations": "int"}
}
# What Stripe took before the SDK's version, and still takes from accounts of an older version.
# A request without a Stripe-Version header (such as those of Stripe's CLI) has the account's.
OLDER: dict[str, Json] = {
    "customer_create": {"coupon": "str", "promotion_code": "str"},
    "customer_update": {"coupon": {"?": "str"}, "promotion_code": {"?": "str"}},
    "invoice_item_create": {"price": "str", "unit_amount": "int"},
    "payment_intent_confirm": _METHOD_TYPES,
    "payment_intent_create": _METHOD_TYPES,
    "payment_intent_update": _METHOD_TYPES,
    "promotion_code_create": {"coupon": "str"},
    "setup_intent_create": _METHOD_TYPES,
    "setup_intent_update": _METHOD_TYPES,
    "checkout/session_create": _METHOD_TYPES,
    "subscription_schedule_create": {"phases": _PHASES},
    "subscription_schedule_update": {"phases": _PHASES},
    "subscription_create": {"coupon": "str", "promotion_code": "str"},
    "subscription_update": {"coupon": {"?": "str"}, "promotion_code": {"?": "str"}},
}


_LOST_METHOD_TYPES = tuple(
    f"{intent}_intent_{verb}"
    for intent in ("payment", "setup")
    for verb in ("create", "update", "confirm")
)


def new(kind: str, prefix: str = "", **values: Any) -> Json:
    """Return an object of a kind with all its fields; `prefix` begins its random id."""
    body: Json = copy.deepcopy(SHAPES["fields"][kind])
    if "created" in body:
        body["created"] = int(time.time())
    if prefix:
        body["id"] = f"{prefix}_{token62(24 if len(prefix) < 4 else 20)}"
    return body | values


def refuse_version(call: Call) -> None:
    """Raise Stripe's error for a `Stripe-Version` that is no version of the API."""
    version = call.request.headers.get("Stripe-Version", API_VERSION).partition(";")[0].strip()
    if version not in VERSIONS and not re.fullmatch(r"\d{4}-\d\d-\d\d\.preview", version):
        raise error(400, f"Invalid Stripe API version: {version}")


def read(call: Call, name: str, params: Json) -> Json:
    """Return the parameters of a call with their types.

    Raises Stripe's errors for a parameter that is unknown, missing or of a wrong type, or that asks
    for what the sandbox does not build. An emptied text becomes None, and the emptied list or hash
    that Stripe allows an empty text.
    """
    call.notes["is_read"] = True
    schema = PARAMETERS[name]
    if name in _LOST_METHOD_TYPES:
        refuse_method_types(call.request, params)
    if "Stripe-Version" not in call.request.headers and name in OLDER:
        schema = schema | OLDER[name]
        if "coupon" in params and "promotion!" in schema:
            schema = {key: value for key, value in schema.items() if key != "promotion!"}
    given = {key: each for key, each in params.items() if key != "expand"}
    found = _hash(given, schema, "")
    if call.request.method == "POST":
        unbuilt.refuse(found, call.notes["is_account"])
    return found


def refuse_unread(call: Call, params: Json) -> None:
    """Raise Stripe's error for the parameters of a call that takes none and has read none."""
    if not call.notes.get("is_read"):
        typed({name: each for name, each in params.items() if name != "expand"}, {})


def typed(given: Json, schema: Json) -> Json:
    """Return parameters with their types by a schema; raises Stripe's errors, as `read` does."""
    return _hash(given, schema, "")


def _hash(given: Json, schema: Json, path: str) -> Json:
    known = {name.rstrip("!") for name in schema}
    surplus = [_inside(path, name) for name in given if name not in known]
    if surplus:
        word = "parameter" if len(surplus) == 1 else "parameters"
        message = f"Received unknown {word}: {', '.join(surplus)}"
        raise error(400, message, "parameter_unknown", surplus[0])
    found: Json = {}
    for name, kind in schema.items():
        plain, param = name.rstrip("!"), _inside(path, name.rstrip("!"))
        if plain in given:
            if given[plain] == "" and name != plain:
                raise _empty(param)
            found[plain] = _value(given[plain], kind, param)
        elif name != plain:
            raise error(400, f"Missing required param: {param}.", "parameter_missing", param)
    return found


def _inside(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _value(given: Any, kind: Any, param: str) -> Any:
    if isinstance(kind, str):
        return _scalar(given, kind, param)
    if isinstance(kind, list):
        return _choice(given, kind, param)
    if "?" in kind and len(kind) == 1:
        return "" if given == "" else _value(given, kind["?"], param)
    if "|" in kind and len(kind) == 1:
        return _either(given, kind["|"], param)
    if given == "":
        raise _empty(param)
    if "*" in kind and len(kind) == 1:
        if not isinstance(given, list):
            raise error(400, "Invalid array", param=param)
        return [_value(each, kind["*"], f"{param}[{at}]") for at, each in enumerate(given)]
    if not isinstance(given, dict):
        raise error(400, "Invalid object", param=param)
    if "**" in kind and len(kind) == 1:
        return {name: _map_value(each, kind["**"], param, name) for name, each in given.items()}
    return _hash(given, kind, param)


def _map_value(given: Any, kind: Any, param: str, name: str) -> Any:
    # An empty value of metadata removes its key, so it is kept here.
    return given if kind == "str" and given == "" else _value(given, kind, f"{param}[{name}]")


def _either(given: Any, kinds: list[Any], param: str) -> Any:
    for kind in _first_hashes(given, kinds):
        if isinstance(kind, list) and given not in kind:
            continue
        return _value(given, kind, param)
    return _choice(given, [each for kind in kinds for each in kind], param)


def _first_hashes(given: Any, kinds: list[Any]) -> Iterator[Any]:
    is_hash = isinstance(given, dict)
    fitting = [kind for kind in kinds if isinstance(kind, dict) is is_hash]
    # Words such as `now` come before the numbers or times that may be given instead.
    yield from sorted(fitting, key=lambda kind: not isinstance(kind, list))


def _choice(given: Any, values: list[str], param: str) -> Any:
    if given in values:
        return given
    if given == "":
        raise _empty(param)
    listed = values[0] if len(values) == 1 else f"{', '.join(values[:-1])}, or {values[-1]}"
    raise error(400, f"Invalid {param}: must be one of {listed}", param=param)


def _scalar(given: Any, kind: str, param: str) -> Any:
    if kind == "any":
        return given
    if not isinstance(given, str):
        raise error(400, "Invalid string: must be a string", param=param)
    if kind == "str":
        return given or None
    if given == "":
        raise _empty(param)
    if kind == "bool":
        if given not in ("true", "false"):
            raise error(400, f"Invalid boolean: {given}", "parameter_invalid_boolean", param)
        return given == "true"
    if kind == "int":
        if not re.fullmatch(r"-?\d{1,18}", given):
            raise error(400, f"Invalid integer: {given}", "parameter_invalid_integer", param)
        return int(given)
    if not re.fullmatch(r"-?\d+(\.\d+)?", given):
        raise error(400, f"Invalid decimal: {given}", "parameter_invalid_string_format", param)
    return float(given) if kind == "float" else given


def _empty(param: str) -> Exception:
    message = (
        f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{param}' cannot be unset. You should remove '{param}' from your "
        "request or supply a non-empty value."
    )
    return error(400, message, "parameter_invalid_empty", param)
