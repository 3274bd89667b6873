"""Reads the headers of HTTP answers as http.client does, at a fraction of the cost.

http.client reads them by the parser for e-mail, and urllib3 then searches them for the errors that
this parser notes. Together that takes longer than sending the request.

Invariant: headers of which any line is not plainly `name: value` are read by http.client's own
parser. Where an answer's body ends is decided by http.client alone.
"""

import http.client
import re
from http.client import HTTPMessage, HTTPResponse
from io import BytesIO
from types import FunctionType
from typing import Any

_PLAIN = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e]*)\r?\n")

_client: Any = http.client


def parse_headers(reader: Any) -> HTTPMessage:
    """Like the function of the same name of http.client: read up to the empty line."""
    lines: list[bytes] = _client._read_headers(reader)
    message = HTTPMessage()
    for line in lines[:-1]:
        plain = _PLAIN.fullmatch(line)
        if plain is None:
            odd: HTTPMessage = _client.parse_headers(BytesIO(b"".join(lines)))
            return odd
        message.set_raw(plain[1].decode("ascii"), plain[2].decode("ascii"))
    return message


_NAMES = {**vars(http.client), "parse_headers": parse_headers}


class Response(HTTPResponse):
    """An answer whose headers are read by this module."""

    # The method of http.client, which finds the function above under the name `parse_headers`.
    begin = FunctionType(HTTPResponse.begin.__code__, _NAMES)
