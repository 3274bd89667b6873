"""Connections to Valkey for short questions, which are not repeated by the library."""

import re

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_CERT = re.compile(r"(ssl_cert_reqs=)CERT_(NONE|OPTIONAL|REQUIRED)")


def address(redis_url: str) -> str:
    """The address in redis-py's form; kombu also accepts the constants of the `ssl` module.

    >>> address("rediss://valkey:6379/1?ssl_cert_reqs=CERT_REQUIRED")
    'rediss://valkey:6379/1?ssl_cert_reqs=required'
    """
    return _CERT.sub(lambda found: f"{found[1]}{found[2].lower()}", redis_url)


def client(redis_url: str, seconds: float) -> redis.Redis:
    """A client each of whose answers, and connections, may take so many seconds.

    It never repeats a command: the first one may have been done. The caller closes it.
    """
    return redis.Redis.from_url(
        address(redis_url),
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # a server that speaks 3 may send what it was not asked for
    )
