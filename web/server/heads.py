"""Reads fields in the head of a request, before a thread parses it.

The server's loop does this for each request, and all threads wait meanwhile. A plain head is read
once, for the loop and for the thread. In any other head, the loop only searches for the fields that
it needs (a fixed text takes a tenth of the time of a regular expression), and gunicorn parses it in
the thread.
"""

import re
from dataclasses import dataclass

PLAIN_BYTES = 4094
"""By default, gunicorn accepts a request line of this length, and longer fields."""

# No "_" in names, which gunicorn may have to drop. No "#" or host in the target.
_PLAIN = re.compile(
    rb"([A-Z]{3,20}) (/[!\"$-~]*) HTTP/1\.([01])\r\n"
    rb"((?:[!#$%&'*+\-.^`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)*)\r\n"
)


class Head:
    """The head of a request, whose fields can be asked for.

    A line that does not end with CRLF, or contains a CR elsewhere, is no field here. Such a head is
    refused where it is parsed.
    """

    def __init__(self, data: bytes) -> None:
        self._data = b"\n" + data
        self._lower = self._data.lower()

    def has(self, name: bytes) -> bool:
        """Whether a line begins with this field name, which is given in lower case."""
        return b"\n" + name + b":" in self._lower

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields with this name, without the blanks around them.

        >>> Head(b"GET / HTTP/1.1\\r\\nX-A: 1 \\r\\nx-a:\\t2\\r\\n\\r\\n").values(b"x-a")
        [b'1', b'2']
        """
        found = []
        mark = b"\n" + name + b":"
        at = self._lower.find(mark)
        while at >= 0:
            start = at + len(mark)
            end = self._data.find(b"\n", start)
            line = self._data[start:end] if end >= 0 else self._data[start:]
            if line.find(b"\r") == len(line) - 1 >= 0:
                found.append(line[:-1].strip(b" \t"))
            at = self._lower.find(mark, start)
        return found


@dataclass(slots=True)
class Plain:
    """A head that can be read in one way only, and no part of which gunicorn refuses or changes."""

    method: str
    target: str
    minor: int
    fields: dict[str, str]
    """The values by the names in upper case, in the order in which they were sent."""
    size: int

    def has(self, name: bytes) -> bool:
        """Whether a field has this name (see `Head.has`)."""
        return name.decode().upper() in self.fields

    def values(self, name: bytes) -> list[bytes]:
        """The value of the field with this name, if there is one (see `Head.values`)."""
        value = self.fields.get(name.decode().upper())
        return [] if value is None else [value.encode("latin-1")]


def plain_head(head: bytes) -> Plain | None:
    """Read a head that is plain; None if gunicorn has to parse it.

    >>> plain_head(b"GET /a?b HTTP/1.1\\r\\nHost: c \\r\\n\\r\\n")
    Plain(method='GET', target='/a?b', minor=1, fields={'HOST': 'c'}, size=31)
    """
    found = _PLAIN.fullmatch(head) if len(head) <= PLAIN_BYTES else None
    if found is None:
        return None
    lines = found[4].decode("latin-1").split("\r\n")
    lines.pop()
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.upper()] = value.strip(" \t")
    if len(fields) < len(lines):
        return None
    return Plain(found[1].decode(), found[2].decode(), int(found[3]), fields, len(head))


def has_bare_lf(data: bytearray, start: int, stop: int) -> bool:
    """Whether one of the line feeds from `start` to `stop` does not follow a carriage return."""
    line_feeds = data.count(b"\n", start, stop)
    return line_feeds != data.count(b"\r\n", max(0, start - 1), stop)
