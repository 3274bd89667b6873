"""What the tests of starts share."""

from collections.abc import Iterator

import pytest
import redis

from app.settings import Settings


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    """The broker of the test."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client
