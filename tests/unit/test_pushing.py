"""Answers of Redis that are numbers, read from the connection itself."""

import socket

import pytest
import redis

from chains.pushing import _numbers


def read(*sent: bytes, count: int) -> list[int]:
    """What is read if the server sends these pieces and closes the connection."""
    server, client = socket.socketpair()
    with client:
        with server:
            for piece in sent:
                server.sendall(piece)
        return _numbers(client, count)


def test_answers_are_read_as_they_come() -> None:
    assert read(b":1\r\n", count=1) == [1]
    assert read(b":1", b"2\r", b"\n:0\r\n", count=2) == [12, 0]


@pytest.mark.parametrize(
    "sent", [b"", b":1\r\n", b":1\r\n:2", b":1\r\n:2\r\n:3\r\n", b":1\r\n:2\r\n+"]
)
def test_too_few_and_too_many_answers_break_the_connection(sent: bytes) -> None:
    with pytest.raises(redis.ConnectionError):
        read(sent, count=2)


def test_a_refusal_says_what_redis_says() -> None:
    with pytest.raises(redis.ResponseError, match="OOM command not allowed"):
        read(b":1\r\n-OOM command not allowed\r\n", count=2)
