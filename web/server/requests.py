"""Requests as gunicorn's parser makes them; one with a plain head is made without a second parse.

Invariant: a request is refused, or has the same attributes, as if gunicorn had parsed its bytes.
"""

from io import BytesIO
from typing import Any

from gunicorn.http.message import Request  # type: ignore[import-untyped] # ships no types
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped] # as above

from web.server.heads import Plain


class CollectedRequest(Request):  # type: ignore[misc] # Any, as it ships no types
    """A request, which is made from its plain head if its unreader has one (`Unreader.plain`)."""

    _collected: BytesIO | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it was made from a plain head."""
        return self._collected is not None

    def parse(self, unreader: Any) -> bytes:
        """Read the head; returns what follows it, and the body if that was not collected."""
        plain, unreader.plain = unreader.plain, None
        if plain is None or not self._may_take(plain):
            rest: bytes = super().parse(unreader)
            return rest
        self.method, self.uri, self.version = plain.method, plain.target, (1, plain.minor)
        self.path, _, self.query = plain.target.partition("?")
        self.fragment = ""
        self.headers = list(plain.fields.items())
        data: bytes = unreader.take_buffered()
        end = plain.size + int(plain.fields.get("CONTENT-LENGTH", 0))
        self._collected = BytesIO(data[plain.size : end])
        return data[end:]

    def set_body_reader(self) -> None:
        """Let the application read the body that was collected, or what gunicorn reads."""
        if self._collected is None:
            super().set_body_reader()
        else:
            self.body = self._collected

    def _may_take(self, plain: Plain) -> bool:
        """Whether gunicorn's settings let a plain head be read as it is."""
        cfg = self.cfg
        return (
            # Otherwise, a peer may set the scheme by a field.
            isinstance(self.peer_addr, tuple)
            and not cfg.forwarded_allow_ips
            and cfg.proxy_protocol == "off"
            and plain.size <= self.limit_request_line
            and plain.size <= self.limit_request_field_size
            and len(plain.fields) <= self.limit_request_fields
        )


class CollectedParser(RequestParser):  # type: ignore[misc] # Any, as it ships no types
    """Makes the requests of a connection, one after the other."""

    mesg_class = CollectedRequest

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        """Skip what the application has not read of a body, unless it has all been collected."""
        if self.mesg and isinstance(self.mesg.body, BytesIO):
            return True
        is_finished: bool = super().finish_body(deadline, max_bytes)
        return is_finished
