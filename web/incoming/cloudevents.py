"""Reads CloudEvents 1.0 from an HTTP request: structured, batched and binary mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from app.errors import InvalidInput
from app.platform import Json
from chains.incoming.events import Incoming, checked
from web.bodies import parse_json
from web.errors import Malformed, UnsupportedMedia

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
SPECVERSION = "ce-specversion"
_VERSION = "1.0"
_PREFIX = "ce-"
_OWN = frozenset({"id", "source", "type", "subject", "time", "data"})
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,40}")
_MOST_ATTRIBUTES = 40


def read_structured(given: Any) -> Incoming:
    """An event in the JSON format; raise InvalidInput, with the pointer to the fault."""
    if not isinstance(given, dict):
        raise InvalidInput("an event is a JSON object", field="")
    fields, attributes = {}, {}
    for name, value in given.items():
        if name in _OWN:
            fields[name] = value
        elif name != "data_base64":
            attributes[name] = value
    _check_attributes(attributes)
    if "data_base64" in given:
        if "data" in given:
            raise InvalidInput("an event has data or data_base64, not both", field="/data_base64")
        fields["data"] = _decoded(given["data_base64"], attributes.get("datacontenttype"))
    return checked(fields, attributes)


def read_binary(headers: Mapping[str, str], content_type: str, body: bytes) -> Incoming:
    """An event whose attributes are headers, by their names in lower case, and whose data is the
    body. Raise InvalidInput, Malformed or UnsupportedMedia if it is wrong."""
    given: Json = {
        name.removeprefix(_PREFIX): _unquoted(name, value)
        for name, value in headers.items()
        if name.startswith(_PREFIX)
    }
    attributes = {name: value for name, value in given.items() if name not in _OWN}
    _check_attributes(attributes)
    if content_type:
        attributes["datacontenttype"] = content_type
    fields = {name: value for name, value in given.items() if name in _OWN - {"data"}}
    return checked(fields | {"data": _data(body, content_type)}, attributes)


def _check_attributes(attributes: Json) -> None:
    """Check the attributes that have no field of their own, and take out the version."""
    if attributes.pop("specversion", None) != _VERSION:
        raise InvalidInput(f"must be {_VERSION}", field="/specversion")
    if len(attributes) > _MOST_ATTRIBUTES:
        raise InvalidInput(f"an event has at most {_MOST_ATTRIBUTES} further attributes", field="")
    for name, value in attributes.items():
        if not _ATTRIBUTE.fullmatch(name):
            raise InvalidInput(
                "the name of an attribute has lower-case letters and digits", field=f"/{name}"
            )
        if isinstance(value, dict | list | float):
            raise InvalidInput(
                "an attribute is a text, a whole number or true or false", field=f"/{name}"
            )


def _unquoted(name: str, value: str) -> str:
    try:
        # A server reads the bytes of a header as Latin-1.
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except ValueError as err:
        raise Malformed(f"the {name} header is not UTF-8, with % before other bytes") from err


def _decoded(text: Any, content_type: Any) -> Any:
    if not isinstance(text, str):
        raise InvalidInput("must be a text", field="/data_base64")
    try:
        body = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as err:
        raise InvalidInput("is not Base64", field="/data_base64") from err
    try:
        return _data(body, content_type if isinstance(content_type, str) else "")
    except (Malformed, UnsupportedMedia) as err:
        raise InvalidInput(err.message, field="/data_base64") from err


def _data(body: bytes, content_type: str) -> Any:
    """The data in a body: JSON, or a text."""
    if not body:
        return None
    kind = content_type.partition(";")[0].strip().lower()
    if not kind or kind == "application/json" or kind.endswith("+json"):
        return parse_json(body)
    if kind.startswith("text/") or kind == "application/xml":
        try:
            return body.decode()
        except UnicodeDecodeError as err:
            raise Malformed("the data is not UTF-8") from err
    raise UnsupportedMedia("the data of an event must be JSON or a text")
