"""Parses the JSON that statements return, and counts how much of it each thread has read."""

import json
import threading
from typing import Any

import psycopg2.extras


class _Read(threading.local):
    characters = 0


_read = _Read()


def characters_read() -> int:
    """The characters of JSON that this thread has read from PostgreSQL until now."""
    return _read.characters


def _parse(text: str) -> Any:
    _read.characters += len(text)
    return json.loads(text)


def count_from_now_on() -> None:
    """Let psycopg2 parse JSON by this module, on all connections."""
    psycopg2.extras.register_default_json(globally=True, loads=_parse)
    psycopg2.extras.register_default_jsonb(globally=True, loads=_parse)
