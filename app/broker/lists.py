"""The lists in Redis that kombu uses for one queue. This module imports nothing."""

PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""The suffixes of the lists, one list per priority level.

The first list has the name of the queue without a suffix.
"""
