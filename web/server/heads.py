"""Reads fields in the head of a request, before a thread parses it.

The server's loop does this for each request, and all threads wait meanwhile. The search for a fixed
text takes a tenth of the time of a regular expression.
"""


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


def has_bare_lf(data: bytearray, start: int, stop: int) -> bool:
    """Whether one of the line feeds from `start` to `stop` does not follow a carriage return."""
    line_feeds = data.count(b"\n", start, stop)
    return line_feeds != data.count(b"\r\n", max(0, start - 1), stop)
