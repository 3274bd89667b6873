"""Changes a valid body or answer by chance: its bytes, the structure of its JSON, its head."""

import copy
import gzip
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, "", " ", 0, -1, 1.5, 2**31, 2**63, -(2**63), 10**30, 1e308),
    *(float("nan"), float("inf"), [], {}, [[]], {"": None}, "\x00", "\ud800", "é\u2028\u202e"),
    *(
        "null",
        "0",
        "-1",
        "NaN",
        "1e999",
        "2026-13-45T99:99:99Z",
        "http://",
        "../..",
        "%00",
        "a" * 300,
    ),
)
SIZES = (100, 3_000, 20_000)
DEPTHS = (40, 300, 950, 5_000)
PAGE = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


def mutated(value: Any, chance: random.Random) -> bytes:
    """JSON of the value after one to three changes, now and then with damaged bytes."""
    changed = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        changed = _changed(changed, chance)
    text = json.dumps(changed, ensure_ascii=chance.random() < 0.7)
    if chance.random() < 0.05:
        text = text.replace(": ", f": {'[' * chance.choice(DEPTHS)}", 1)
    if chance.random() < 0.1:
        text = text.replace(": ", ": " + _number(chance) + ', "z": ', 1)
    data = text.encode("utf-8", "surrogatepass")
    return damaged(data, chance) if chance.random() < 0.2 else data


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes after one change: another one, fewer, more, another encoding, or others instead."""
    at = chance.randrange(len(data) + 1)
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: data[:at],
        lambda: data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
        lambda: data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:],
        lambda: data + data,
        lambda: b"\xef\xbb\xbf" + data,
        lambda: data.decode("utf-8", "replace").encode("utf-16"),
        lambda: b"",
        lambda: PAGE,
        lambda: b"[" * chance.choice(DEPTHS),
        lambda: gzip.compress(data),
        lambda: chance.randbytes(64),
    )
    return chance.choice(changes)()


def _number(chance: random.Random) -> str:
    return chance.choice(("1e999", "-1e999", "9" * 400, "9" * 5_000, "NaN", "-Infinity", "1e-999"))


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with one node replaced, removed, wrapped or repeated."""
    nodes = list(_nodes(value))
    if not nodes or chance.random() < 0.03:
        return _odd(value, chance)
    holder, key = chance.choice(nodes)
    kind = chance.random()
    if kind < 0.25:
        del holder[key]
    elif kind < 0.35:
        holder[key] = [holder[key]]
    elif kind < 0.4 and isinstance(holder, dict):
        holder[_text(chance, 12)] = holder.pop(key)
    else:
        holder[key] = _odd(holder[key], chance)
    return value


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a value: what holds it, and the key or the number there."""
    if isinstance(value, dict | list):
        places = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in list(places):
            yield value, key
            yield from _nodes(each)


def _odd(value: Any, chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.1:
        return _text(chance, chance.choice(SIZES))
    if kind < 0.15:
        nested: Any = value
        for _ in range(chance.choice((40, 300))):
            nested = [nested]
        return nested
    return chance.choice(ODD)


def _text(chance: random.Random, length: int) -> str:
    return "".join(chance.choices(string.ascii_letters + string.digits, k=length))


@dataclass(frozen=True)
class Answer:
    """What a server sends: a status, headers and a body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def sent(self, **others: str) -> bytes:
        """Its bytes; `others` are further headers, or other ones."""
        headers = {"Content-Length": str(len(self.body)), "Connection": "close", **self.headers}
        headers |= {name.replace("_", "-"): value for name, value in others.items()}
        lines = [f"HTTP/1.1 {self.status} OK", *(f"{name}: {v}" for name, v in headers.items())]
        return "\r\n".join((*lines, "", "")).encode() + self.body


STATUSES = (200, 201, 202, 204, 302, 400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503)


def mutated_answer(answer: Answer, chance: random.Random) -> tuple[int, bytes]:
    """The answer after changes, as its bytes; and its status, 0 if there is none."""
    try:
        given: Any = json.loads(answer.body)
    except ValueError:
        given = None
    body = damaged(answer.body, chance) if given is None else mutated(given, chance)
    status = answer.status if chance.random() < 0.6 else chance.choice(STATUSES)
    if status == 204:
        body = b""
    made = Answer(status, answer.headers, body)
    kind = chance.random()
    if kind < 0.7:
        return status, made.sent()
    if kind < 0.75:
        return status, made.sent(Content_Length=str(len(body) + 5))
    if kind < 0.8:
        return status, made.sent(Content_Length=str(max(len(body) - 3, 0)))
    if kind < 0.85:
        return status, made.sent(Content_Type=chance.choice(("text/html", "", "application/xml")))
    if kind < 0.9:
        return status, made.sent(Content_Encoding=chance.choice(("gzip", "br", "zz")))
    if kind < 0.93:
        return status, made.sent(Retry_After=chance.choice(("-1", "nan", "1e99", "soon", "9" * 99)))
    sent = made.sent()
    return 0, sent[: chance.randrange(1, len(sent))] if kind < 0.97 else chance.randbytes(80)
