"""The headers of answers are read as http.client reads them."""

import http.client
from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util.response import assert_header_parsing

from app.outbound.heads import parse_headers

LINES = (
    b"Content-Type: application/json\r\n",
    b"content-length:12\r\n",
    b"Set-Cookie: a=1; Path=/ \r\n",
    b"Set-Cookie: b=2\r\n",
    b"Empty:\r\n",
    b"Bare: line feed\n",
    b"Colons: a:b: c\r\n",
    b" folded: to the line before\r\n",
    b"\tfolded too\r\n",
    b"Space : before the colon\r\n",
    b"no colon at all\r\n",
    b": no name\r\n",
    b"Name: caf\xc3\xa9\r\n",
    b"N\xe9: latin\r\n",
    b"Control: a\x00b\x0bc\r\n",
    b"Carriage: a\rb\r\n",
    b"From nobody\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n",
)
ENDS = (b"\r\n", b"\n", b"")


@given(lines=st.lists(st.sampled_from(LINES), max_size=6), end=st.sampled_from(ENDS))
@example(lines=list(LINES), end=b"\r\n")
def test_headers_are_read_as_http_client_reads_them(lines: list[bytes], end: bytes) -> None:
    head = b"".join([*lines, end])
    ours, theirs = BytesIO(head + b"body"), BytesIO(head + b"body")
    found, expected = parse_headers(ours), http.client.parse_headers(theirs)
    assert found.items() == expected.items()
    assert ours.read() == theirs.read()


@pytest.mark.parametrize(
    "head", [b"Long: " + b"x" * 70_000 + b"\r\n\r\n", b"Many: x\r\n" * 101 + b"\r\n"]
)
def test_a_head_without_end_is_refused(head: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        parse_headers(BytesIO(head))


def test_urllib3_finds_no_fault_in_plain_headers() -> None:
    assert_header_parsing(parse_headers(BytesIO(LINES[0] + LINES[2] + b"\r\n")))
