"""Functions that build texts. The length of a result is charged before the text is built."""

from chains.language.functions.failed import FunctionFailed, Spend
from chains.language.functions.numbers import as_text

_VALUE = 8
"""The cost of a value, as in the meter (chains/language/evaluation.py)."""


def concat(spend: Spend, *given: str | float | bool) -> str:
    """The values one after the other; a number or a boolean is written as in JSON."""
    parts = [_text(each) for each in given]
    spend(sum(map(len, parts)))
    return "".join(parts)


def join(spend: Spend, glue: str, given: list[str]) -> str:
    """The texts of a list, with `glue` between them."""
    spend(sum(map(len, given)) + len(glue) * len(given))
    return glue.join(given)


def replace(spend: Spend, text: str, old: str, new: str) -> str:
    """The text with `new` in place of every `old`."""
    if not old:
        raise FunctionFailed("replace: the text to replace is empty")
    spend(len(text))
    spend(text.count(old) * len(new))
    return text.replace(old, new)


def split(spend: Spend, text: str, separator: str) -> list[str]:
    """The parts of the text between the separators."""
    if not separator:
        raise FunctionFailed("split: the separator is empty")
    spend(len(text))
    spend(_VALUE * (text.count(separator) + 1))
    return text.split(separator)


def lower(spend: Spend, text: str) -> str:
    """The text in lower case."""
    spend(len(text))
    return text.lower()


def upper(spend: Spend, text: str) -> str:
    """The text in upper case."""
    spend(len(text))
    return text.upper()


def trim(spend: Spend, text: str) -> str:
    """The text without white space at its ends."""
    spend(len(text))
    return text.strip()


def substring(spend: Spend, text: str, start: float, length: float) -> str:
    """At most `length` characters from the character number `start`, counted from 0."""
    for value in (start, length):
        if value < 0 or value != int(value):
            raise FunctionFailed(
                f"substring: start and length must be whole numbers from 0 on, not {value}"
            )
    found = text[int(start) : int(start) + int(length)]
    spend(len(found))
    return found


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else as_text("concat", value)
