"""Decides which JSON request bodies are accepted, and how JSON responses are written.

A body is refused if PostgreSQL cannot store it, if two parsers could read it differently, or if
parsing it costs more than its size suggests.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import Request, Response
from flask.json.provider import DefaultJSONProvider
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from app import cards
from app.errors import InvalidInput, TooLarge
from app.telemetry import card_number_suspected
from web.errors import Malformed, UnsupportedMedia, pointer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_JSON_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1

_DIGITS = 20
_COMPACT = (",", ":")
_JSON = "application/json"


class StrictRequest(Request):
    """A request whose JSON body is always parsed by the rules of this module."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Parse the body, which must be a JSON object; return {} for a request without a body.

        Raises UnsupportedMedia, TooLarge, Malformed or InvalidInput. Flask's parameters are
        ignored.
        """
        return self.get_object(MAX_DEPTH)

    def get_object(self, max_depth: int) -> dict[str, Any]:
        """Like `get_json`, with `max_depth` as the limit of nesting."""
        if not self.mimetype and not self.get_raw(MAX_JSON_BYTES):
            return {}
        if not self.is_json:
            raise UnsupportedMedia("the body must be sent as application/json")
        if self.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            raise Malformed("the body is compressed; send it uncompressed")
        return parse_object(self.get_raw(MAX_JSON_BYTES), max_depth)

    def get_raw(self, limit: int) -> bytes:
        """Return the bytes of the body; raises TooLarge if there are more than `limit`."""
        # Werkzeug silently cuts a chunked body at this maximum. Allow one byte more, so that a body
        # that is too long can be detected.
        self.max_content_length = limit + 1
        try:
            data = self.get_data(cache=True, parse_form_data=False)
        except RequestEntityTooLarge as err:
            raise TooLarge(f"the body is larger than {limit} bytes") from err
        if len(data) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        return data


def parse_object(data: bytes, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Parse a JSON text that must be an object; raises Malformed or InvalidInput.

    >>> parse_object(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    value = parse_json(data, max_depth)
    if not isinstance(value, dict):
        raise InvalidInput("the body must be a JSON object")
    refuse_values(value, max_depth)
    return value


def parse_json(data: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a JSON text; raises Malformed or InvalidInput. Its values are still to be checked."""
    try:
        text = data.decode()
        # A text with a byte order mark is not JSON; `json.loads` says so.
        return json.loads(text) if text.startswith("\ufeff") else _decoder.decode(text)
    except RecursionError as err:
        raise InvalidInput(
            f"the body is nested deeper than {max_depth} levels", code="too_deep"
        ) from err
    except ValueError as err:  # the base class of JSONDecodeError and UnicodeDecodeError
        raise Malformed(f"the body is not JSON: {err}") from err


def refuse_values(value: Any, max_depth: int = MAX_DEPTH) -> None:
    """Raise InvalidInput if a value in it cannot be stored, or if it is nested too deeply."""
    for fault in _faults(value, max_depth):
        raise fault


class JsonProvider(DefaultJSONProvider):
    """Writes compact JSON: names keep their order, times are ISO 8601 in UTC."""

    sort_keys = False
    compact = True
    ensure_ascii = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Write JSON; the arguments are those of `json.dumps`, which makes an encoder each time."""
        if kwargs == {"separators": _COMPACT}:
            return _encoder.encode(obj)
        return super().dumps(obj, **kwargs)

    @staticmethod
    def default(o: Any) -> Any:
        """Convert a value that `json` cannot write."""
        if isinstance(o, datetime):
            return o.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return DefaultJSONProvider.default(o)


_encoder = json.JSONEncoder(default=JsonProvider.default, ensure_ascii=False, separators=_COMPACT)


class Text(str):
    """A text that is JSON already, as PostgreSQL made it."""

    __slots__ = ()


class JsonResponse(Response):
    """What `jsonify` makes, with headers that are sent as they are.

    Werkzeug would look through them, and parse and quote the address in Location. Here that must be
    a path of ASCII characters. A `Text` is sent as it is.
    """

    def __init__(
        self, shown: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        text = shown if isinstance(shown, Text) else _encoder.encode(shown)
        super().__init__(f"{text}\n", status, headers, content_type=_JSON)

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """The headers that are sent; one of them is the length of the body."""
        return self.headers


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise Malformed(f"the name {twice!a} appears twice in one object", code="duplicate_name")
    return made


def _refuse_constant(name: str) -> float:
    raise Malformed(f"{name} is not JSON")


def _integer(digits: str) -> int:
    # Python refuses numbers of thousands of digits, or parses them slowly. A number with more than
    # _DIGITS digits is out of range anyway, so return the first number that is out of range.
    return int(digits) if len(digits) <= _DIGITS else MAX_INTEGER + 1


# `json.loads` would make a decoder for each text.
_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_integer
)


def _faults(document: Any, max_depth: int) -> Iterator[InvalidInput]:
    unchecked: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while unchecked:
        place, value = unchecked.pop()
        if len(place) > max_depth:
            yield InvalidInput(
                f"nested deeper than {max_depth} levels", field=pointer(place[:4]), code="too_deep"
            )
        if isinstance(value, dict):
            unchecked.extend(((*place, name), item) for name, item in value.items())
            words = next(filter(None, map(_text_fault, value)), None)
            if any(map(cards.is_certain, value)):
                yield _card_number((*place, "..."))
        elif isinstance(value, list):
            unchecked.extend(((*place, number), item) for number, item in enumerate(value))
            continue
        else:
            words = _scalar_fault(value)
            if _is_card_number(place, value):
                yield _card_number(place)
        if words:
            yield InvalidInput(words, field=pointer(place).encode("utf-8", "replace").decode())


def _is_card_number(place: tuple[str | int, ...], value: Any) -> bool:
    """Whether a value holds a card number. What only looks like one is accepted, and counted."""
    text = cards.written(value)
    if text is None:
        return False
    outer, name = ["", "", *(each for each in place if isinstance(each, str))][-2:]
    is_suspected = False
    for found in cards.suspects(text, cards.name_within(outer, name)):
        if found.is_certain:
            return True
        is_suspected = True
    if is_suspected:
        card_number_suspected("request")
    return False


def _card_number(place: tuple[str | int, ...]) -> InvalidInput:
    return InvalidInput(
        "this holds the number of a payment card, which is not stored here: send the id of a"
        " payment method that the payment platform has made of it",
        field=pointer(place).encode("utf-8", "replace").decode(),
        code="card_number",
    )


def _scalar_fault(value: Any) -> str | None:
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else "the number is too large"
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "the whole number is too large"
    return None


def _text_fault(value: str) -> str | None:
    if "\x00" in value:
        return "the text contains a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "the text contains one half of a surrogate pair"
    return None
