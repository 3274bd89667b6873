"""The types of events, and the patterns by which triggers and waits name them. Pure."""

import re
from collections.abc import Iterator

TYPE_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,199}"
EVERY = "*"
_PREFIX_END = ".*"
PATTERN = re.compile(rf"\*|{TYPE_PATTERN}|[A-Za-z0-9_][A-Za-z0-9_.:/-]{{0,198}}\.\*", re.ASCII)
PATTERN_WORDS = "must be a type of event such as invoice.paid, a prefix such as invoice.*, or *"
EVENT_FACTS = ("id", "source", "type", "subject", "time", "received_at", "data", "attributes")
"""What an event has."""


def patterns(event_type: str) -> Iterator[str]:
    """The patterns that take a type: the type itself, each prefix, and all.

    >>> list(patterns("invoice.paid.late"))
    ['invoice.paid.late', 'invoice.paid.*', 'invoice.*', '*']
    """
    yield event_type
    end = event_type.rfind(".")
    while end > 0:
        yield event_type[:end] + _PREFIX_END
        end = event_type.rfind(".", 0, end)
    yield EVERY


def types_of(pattern: str) -> tuple[str, str]:
    """The first and the last type that a pattern takes, in the order of their characters.

    >>> types_of("order.paid"), types_of("order.*")
    (('order.paid', 'order.paid'), ('order.', 'order.~'))
    """
    if pattern != EVERY and not pattern.endswith(_PREFIX_END):
        return pattern, pattern
    prefix = pattern.removesuffix(EVERY)
    return prefix, prefix + "~"
