"""Finds secrets in what a server answers, in the spellings in which servers repeat them.

A secret is found as it was sent, with the escapes of JSON, percent-encoded, with the character
references of HTML, and, if it has only digits, as a number. Of Basic authentication, the decoded
user and password are secrets too. Pure.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from html.entities import codepoint2name

HIDDEN = "[secret]"
_LEAST_CHARACTERS = 8
_MOST_DIGITS = 4000
_BASIC = re.compile(r"basic +([A-Za-z0-9+/_-]+={0,2})", re.IGNORECASE)
_ESCAPED = "\"'/\\"
"""Characters before which servers write a backslash; up to three if JSON stands within JSON."""


class Hidden:
    """The secrets of one request, and their parts that a server may repeat alone."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        parts = {part for each in secrets for part in _parts(each) if _is_long(part)}
        longest_first = sorted(parts, key=lambda part: (-len(part), part))
        numbers = {int(part) for part in parts if _is_number(part)}
        self._numbers: set[float] = numbers | {_rounded(number) for number in numbers}
        self._spellings = re.compile("|".join(map(_spellings, longest_first)) or "(?!)")

    def text(self, given: str) -> str:
        """The text with HIDDEN in place of each secret."""
        return self._spellings.sub(HIDDEN, given)

    def integer(self, digits: str) -> int | str:
        """The integer of JSON that is written so, or HIDDEN if it contains a secret."""
        value = int(digits)
        return HIDDEN if self._is_secret(digits, value) else value

    def number(self, written: str) -> float | str:
        """The other number of JSON that is written so, or HIDDEN if it contains a secret."""
        value = float(written)
        return HIDDEN if self._is_secret(written, value) else value

    def _is_secret(self, written: str, value: float) -> bool:
        # A number may have lost the secret's leading zeros, be rounded, or have an exponent.
        is_number = not self._numbers.isdisjoint((abs(value), _rounded(abs(value))))
        return is_number or self._spellings.search(written) is not None


def _rounded(number: float) -> float:
    """A number as servers have it that know floating-point numbers only."""
    try:
        return float(number)
    except OverflowError:
        return number


def _parts(secret: str) -> Iterator[str]:
    yield secret
    yield from secret.split()
    if matched := _BASIC.fullmatch(secret):
        decoded = _decoded(matched[1])
        yield decoded
        yield from decoded.split(":", 1)


def _decoded(text: str) -> str:
    """The text of a Base64 text; empty if it is none."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return ""
    try:
        return found.decode()
    except UnicodeDecodeError:
        return found.decode("latin-1")


def _is_long(part: str) -> bool:
    return len(part) >= _LEAST_CHARACTERS


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= _MOST_DIGITS


def _spellings(part: str) -> str:
    """A pattern for a text, each character of which may be spelled in each usual way."""
    return "".join(_way(each) for each in re.findall(r"\\+|[^\\]", part))


def _way(run: str) -> str:
    """A pattern for one character, or for a run of backslashes."""
    character, times = run[0], len(run)
    if character.isascii() and character.isalnum():
        return character
    if character == "\\":
        # Each may be doubled, twice if JSON stands within JSON: one count, as a pattern of
        # alternatives would take exponential time.
        plain = rf"\\{{{times},{4 * times}}}"
    else:
        plain = (r"\\{0,3}" if character in _ESCAPED else "") + re.escape(character)
    others = "|".join(_encoded(character))
    return f"(?:{plain}|(?:{others}){{{times}}})"


def _encoded(character: str) -> Iterator[str]:
    """Patterns for a character in the escapes of JSON, URLs and HTML."""
    code, units = ord(character), character.encode("utf-16-be")
    places = range(0, len(units), 2)
    yield "".join(rf"\\{{1,2}}u(?i:{units[at : at + 2].hex()})" for at in places)
    yield "(?i:" + "".join(f"%{byte:02x}" for byte in character.encode()) + ")"
    yield rf"&#(?:0{{0,4}}{code}|[xX](?i:0{{0,4}}{code:x}));"
    if character == " ":
        yield r"\+"
    if name := codepoint2name.get(code):
        yield f"&{name};"
