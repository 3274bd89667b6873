"""What is done if an event, or a wait for one, cannot be handled: it is due again later."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.db import AWAY
from app.errors import Unavailable

log = structlog.get_logger()


@contextmanager
def logged(words: str, **facts: str) -> Iterator[None]:
    """Log a failure of the block, and do not raise it. What the block was to do is due again."""
    try:
        yield
    except (*AWAY, Unavailable) as err:
        log.warning(words, error=str(err).strip()[:300], **facts)
    except Exception as err:
        log.error(words, exc_info=err, **facts)
