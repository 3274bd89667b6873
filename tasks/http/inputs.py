"""The input of `http.request`: what the author of a definition says about one request."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from app.outbound.fetching import origin
from app.platform import ActionInput

Effects = Literal["read", "repeatable", "idempotent", "lookup", "person"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_READS = ("GET", "HEAD")
_NO_ADDRESS = "must be an http:// or https:// address"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = frozenset(
    (
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
_SECRET = frozenset(("authorization", "cookie", "proxy-authorization"))


def _address(url: str) -> str:
    try:
        has_user = urlsplit(url).username is not None
        scheme, host, _port = ("", "", None) if has_user else origin(url)
    except ValueError as err:
        raise ValueError(_NO_ADDRESS) from err
    if has_user:
        raise ValueError("must hold no user and password; name a secret in `secrets`")
    if scheme not in {"http", "https"} or not host:
        raise ValueError(_NO_ADDRESS)
    return url


def _header(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:50]!r} is no name of a header")
    if name.lower() in _OURS:
        raise ValueError(f"{name} is set by Playalter")
    return name


def _plain_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if _header(name).lower() in _SECRET:
            raise ValueError(f"{name} would be stored; name a secret in `secrets` instead")
        if not value.isprintable() or not value.isascii():
            raise ValueError(f"the value of {name} must be printable ASCII")
    return headers


Address = Annotated[str, Field(max_length=4000), AfterValidator(_address)]
Header = Annotated[str, AfterValidator(_header)]
Headers = Annotated[
    dict[str, Annotated[str, Field(max_length=4000)]],
    Field(max_length=50),
    AfterValidator(_plain_headers),
]
Secrets = Annotated[dict[Header, Annotated[str, Field(max_length=100)]], Field(max_length=10)]
Query = Annotated[dict[str, str | int | float | bool], Field(max_length=100)]
Status = Annotated[int, Field(ge=200, le=599)]
Statuses = Annotated[tuple[Status, ...], Field(min_length=1, max_length=50)]


class Key(ActionInput):
    """The header that carries the idempotency key, and for how many hours the server knows it."""

    header: Header = "Idempotency-Key"
    hours: float = Field(default=24.0, gt=1, le=8760)


class LookupRequest(ActionInput):
    """A GET request that proves whether the call took effect.

    It did if the status is one of `found`, and it did not if the status is one of `never`; any
    other answer says nothing. With `at`, a path of names into the JSON such as `data.orders`, it
    did not if a found answer has an empty list, an empty object or null there. `lag` is the number
    of seconds that the server may take to show a new effect.
    """

    url: Address
    query: Query = Field(default_factory=dict)
    headers: Headers = Field(default_factory=dict)
    secrets: Secrets = Field(default_factory=dict)
    found: Statuses = (200,)
    never: Statuses = (404, 410)
    at: str | None = Field(default=None, min_length=1, max_length=500)
    lag: float = Field(default=0.0, ge=0, le=86_400)


class RequestInput(ActionInput):
    """One HTTP request. `json` or `text` is its body.

    `secrets` maps the names of headers to names of secrets. `effect` says what a second request
    would do, and is needed for any method but GET and HEAD. `expect` lists the statuses that are a
    success (default: 200 to 299). `keep` names headers of the answer to keep beside the usual ones.
    """

    url: Address
    method: Method = "GET"
    query: Query = Field(default_factory=dict)
    headers: Headers = Field(default_factory=dict)
    secrets: Secrets = Field(default_factory=dict)
    json_body: Any = Field(default=None, alias="json")
    text: str | None = Field(default=None, max_length=1_000_000)
    effect: Effects | None = None
    key: Key | None = None
    lookup: LookupRequest | None = None
    expect: Statuses | None = None
    keep: tuple[Header, ...] = Field(default=(), max_length=20)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.effect is None and self.method not in _READS:
            raise ValueError(
                f"a {self.method} needs `effect`, which says what a second request would do:"
                " read, repeatable, idempotent, lookup or person"
            )
        if self.json_body is not None and self.text is not None:
            raise ValueError("a request has `json` or `text`, not both")
        if self.method in _READS and (self.json_body is not None or self.text is not None):
            raise ValueError(f"a {self.method} has no body")
        if set(map(str.lower, self.headers)) & set(map(str.lower, self.secrets)):
            raise ValueError("a header is in `headers` or in `secrets`, not in both")
        self._settled()
        return self

    def _settled(self) -> None:
        """Check what settles a lost answer."""
        if self.effect == "idempotent" and self.key is None:
            raise ValueError("the effect idempotent needs `key`")
        if self.effect == "lookup" and self.lookup is None:
            raise ValueError("the effect lookup needs `lookup`")
        if self.effect not in {"idempotent", "lookup"} and (self.key or self.lookup):
            raise ValueError("`key` and `lookup` need the effect idempotent or lookup")

    @property
    def is_read(self) -> bool:
        """Whether the request changes nothing at the server."""
        return self.effect == "read" or (self.effect is None and self.method in _READS)
