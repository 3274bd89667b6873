"""Secrets and card numbers that may be found nowhere, and where they were found nevertheless.

What holds secrets (a sandbox's settings, a database's password) is watched from its start. What is
searched is not only the plain text: a secret is found also as it is written in Base64, hexadecimal
digits and URLs. A secret may stand only where it is needed: in the environment or the settings'
file of a process, in the configuration of a server, and where KEPT says.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

CARDS = ("4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "378282246310005")
FORMS = {
    "an API key": re.compile(r"pa_[0-9a-f]{12}_[A-Za-z0-9_-]{43}"),
    "the client secret of a payment": re.compile(r"(?:pi|seti)_\w+_secret_\w+"),
    "a webhook secret": re.compile(r"whsec_[A-Za-z0-9+/]{32,}"),
}
"""What the code under test and the imitated platforms make anew, by its form."""
KEPT = (
    # A receiver checks signatures by the same secret, which is shown to its owner once.
    (r"the table (webhook_endpoints|event_sources)", "a webhook secret"),
    (r"an answer to (POST|PUT) /v1/(webhooks|event-sources)(/.*)?", "a webhook secret"),
    # The customer's browser authenticates the payment with it. It is read anew each time.
    (r"an answer to GET /v1/workflows/.*/authentication", "the client secret of a payment"),
)
"""Where what is made anew must stand: a pattern of the place, and the name."""
_NAMED_LIKE_SECRETS = re.compile(r"(?:KEY|TOKEN|SECRET|CERTIFICATE|PEPPER|PASSWORD)(?:_OLD)?$")
_LEAST_CHARACTERS = 12


class Canaries:
    """The watched values, and what was found where."""

    def __init__(self) -> None:
        self._spellings: dict[str, str] = {}
        self._found: list[str] = []
        for number in CARDS:
            self.watch("a card number", number)

    def watch(self, name: str, value: str) -> None:
        """Look for the value from now on; findings call it by its name."""
        assert len(value) >= _LEAST_CHARACTERS, f"{name} is too short to be recognised"
        self._spellings |= dict.fromkeys(_spellings(value), name)

    def watch_settings(self, settings: dict[str, str]) -> None:
        """Watch the values of all settings that are named like secrets."""
        for name, value in settings.items():
            if _NAMED_LIKE_SECRETS.search(name) and value:
                self.watch(name, value)

    def within(self, text: str) -> set[str]:
        """The names of what stands in a text."""
        named = {name for spelling, name in self._spellings.items() if spelling in text}
        return named | {name for name, form in FORMS.items() if form.search(text)}

    def search(self, place: str, text: str) -> None:
        """Note what stands in a text of a place where none may stand."""
        self._found += [
            f"{name} stands in {place}"
            for name in sorted(self.within(text))
            if not any(name == kept and re.fullmatch(where, place) for where, kept in KEPT)
        ]

    def taken(self) -> list[str]:
        """What was found since the last call."""
        found, self._found = list(dict.fromkeys(self._found)), []
        return found


def _spellings(value: str) -> Iterator[str]:
    """The value as it is written in texts, URLs, Base64 and hexadecimal digits."""
    yield from (value, quote(value, safe=""), quote_plus(value))
    data = value.encode()
    yield data.hex()
    # Base64 writes three bytes as four characters: there are three ways to cut a text. What the
    # characters at both ends are depends also on what stands before and after.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        yield encoded[(0, 2, 3)[before] : (before + len(data)) // 3 * 4]


WATCHED = Canaries()
"""Those of this process."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Overheard:
    """A WSGI application whose answers are searched."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        place = f"an answer to {environ['REQUEST_METHOD']} {environ['PATH_INFO']}"

        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            WATCHED.search(f"the head of {place}", f"{status}\n{headers}")
            return start(status, headers, *more)

        return _Answer(self._application(environ, started), place)


class _Answer:
    """The pieces of an answer, each searched with the end of the piece before."""

    def __init__(self, pieces: Iterable[bytes], place: str) -> None:
        self._pieces, self._iterated, self._place = pieces, iter(pieces), place
        self._before = ""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._iterated)
        text = self._before + piece.decode("latin-1")
        WATCHED.search(self._place, text)
        self._before = text[-200:]
        return piece

    def close(self) -> None:
        """Close what the application has opened."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
