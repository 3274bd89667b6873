"""Compressed answers: the seam reads whole ones, and takes none that was cut off or damaged."""

import gzip
import socket
from collections.abc import Callable

import pytest

from app.errors import Outcome, Permanent, Retryable, Unknown
from app.outbound import http
from tests.contract.seam.servers import HEAD, heard, server

WHOLE = gzip.compress(b'{"id": "' + b"x" * 5000 + b'"}', mtime=0)
GZIP = b"Content-Encoding: gzip\r\n"


def answering(body: bytes, headers: bytes = GZIP) -> Callable[[socket.socket], None]:
    """Send this body, framed as it should be: HTTP itself cannot show that anything is missing."""

    def answer(connection: socket.socket) -> None:
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        connection.sendall(HEAD + headers + length + body)

    return answer


@pytest.mark.parametrize("left", [1, 5, 10, 20, len(WHOLE) - 8, len(WHOLE) - 1])
@pytest.mark.parametrize(("repeatable", "lost"), [(True, Retryable), (False, Unknown)])
def test_a_compressed_answer_that_was_cut_off_is_no_answer(
    left: int, repeatable: bool, lost: type[Outcome]
) -> None:
    with (
        server(answering(WHOLE[:left])) as url,
        http.operation("stripe", "charges.create", repeatable=repeatable),
        pytest.raises(lost) as caught,
    ):
        http.send("POST", url, body=b"x")
    assert caught.value.code == "no_answer"


def test_a_compressed_answer_that_is_damaged_is_no_answer() -> None:
    wrong_sum = WHOLE[:-8] + bytes(4) + WHOLE[-4:]
    with (
        server(answering(wrong_sum)) as url,
        http.operation("vercel", "list", repeatable=True),
        pytest.raises(Retryable) as caught,
    ):
        http.send("GET", url)
    assert caught.value.code == "no_answer"


def test_an_encoding_that_was_not_asked_for_is_no_answer() -> None:
    with (
        server(answering(b"{}", b"Content-Encoding: br\r\n")) as url,
        http.operation("vercel", "list", repeatable=True),
        pytest.raises(Retryable),
    ):
        http.send("GET", url)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"", b""),
        (gzip.compress(b"one") + gzip.compress(b"two"), b"onetwo"),
        (gzip.compress(b"one") + bytes(20), b"one"),
        (gzip.compress(b" " * 1_000_000), b" " * 1_000_000),
    ],
    ids=["empty", "two members", "padded", "long"],
)
def test_a_whole_compressed_answer_is_read(body: bytes, read: bytes) -> None:
    with server(answering(body)) as url, http.operation("vercel", "list", repeatable=True):
        assert http.send("GET", url).body == read


def test_a_compressed_answer_is_bounded_by_its_decompressed_size() -> None:
    with (
        server(answering(gzip.compress(b" " * 100_000))) as url,
        http.operation("replicate", "output.download", repeatable=True, max_bytes=99_999),
        pytest.raises(Permanent) as caught,
    ):
        http.send("GET", url)
    assert caught.value.code == "answer_too_large"


def test_no_encoding_is_asked_for_that_the_seam_does_not_know() -> None:
    _, headers = heard(headers={"accept-encoding": "gzip, br, zstd"})
    assert headers["accept-encoding"] == "gzip"
