"""The server's loop reads heads as regular expressions for whole lines would."""

import hashlib
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from web.server.arrivals import body_length
from web.server.heads import has_bare_lf
from web.server.lanes import lane_of

_BARE_LF = re.compile(rb"(?<!\r)\n")
_UNCOLLECTED = re.compile(rb"(?im)^(transfer-encoding|expect):")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([^\r\n]*?)[ \t]*\r$")
_KEY = re.compile(rb"(?im)^x-api-key:[ \t]*([^\r\n]*)\r$")
_BEARER = re.compile(rb"(?im)^authorization:[ \t]*bearer[ \t]+([^\r\n]*)\r$")

_HEADS = st.lists(
    st.sampled_from(
        (
            *(
                b"GET / HTTP/1.1\r\n",
                b"\r\n",
                b"\r\n",
                b"\n",
                b"\r",
                b":",
                b" ",
                b"\t",
                b"\x0b\xff",
            ),
            *(b"Content-Length: 7\r\n", b"CONTENT-LENGTH:", b"content-length", b"12", b"Expect: x"),
            *(b"X-API-Key: k\r\n", b"x-api-key:", b"Authorization: Bearer k\r\n"),
            *(b"authorization:\tBEARER", b"Bearer t", b"Basic t", b"Transfer-Encoding: chunked"),
        )
    ),
    max_size=9,
).map(b"".join)


def _length(head: bytes) -> int | None:
    found, is_uncollected = _LENGTH.findall(head), _UNCOLLECTED.search(head)
    if not found and not is_uncollected:
        return 0
    is_plain = len(found) == 1 and not is_uncollected and re.fullmatch(rb"[0-9]{1,18}", found[0])
    return int(found[0]) if is_plain else None


def _lane(request: bytes) -> bytes | None:
    head = request.partition(b"\r\n\r\n")[0] + b"\r\n"
    sent = [each.strip(b" \t") for kind in (_KEY, _BEARER) for each in kind.findall(head)]
    return hashlib.sha256(next(filter(None, sent))).digest() if any(sent) else None


@settings(max_examples=300)
@given(head=_HEADS, number=st.integers(0, 60))
def test_heads_are_read_as_regular_expressions_would(head: bytes, number: int) -> None:
    assert body_length(head) == _length(head)
    assert lane_of(head) == _lane(head)
    start = min(number, len(head))
    is_searched = not _BARE_LF.search(head, 0, start)
    if is_searched:
        assert has_bare_lf(bytearray(head), start, len(head)) == bool(_BARE_LF.search(head, start))
