"""The bar for a text, and what a text misses of it."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from app.platform import ActionInput
from tasks.quality import language

_MOST = 1_000_000
_NO_SPACES = (
    r"\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u318f\u31a0-\u31ff\u3400-\u9fff\ua960-\ua97f"
    r"\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""The scripts whose words may stand without spaces between them, or take endings of another script:
Thai, Lao, Tibetan, Burmese, Khmer, and those of Chinese, Japanese and Korean."""
_LETTER = rf"[^\W{_NO_SPACES}]"
"""What continues a word, in a pattern."""

Count = Annotated[int, Field(ge=1, le=_MOST)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class TextBar(ActionInput):
    """What a text must be: so long, in one of these languages, and without these words.

    Words are counted between white space. Of a text with fewer than 20 letters the language cannot
    be told, and any is right. `banned_words` are words or phrases, in upper or lower case; of
    scripts without spaces, any part of a text counts.
    """

    min_characters: Count | None = None
    max_characters: Count | None = None
    min_words: Count | None = None
    max_words: Count | None = None
    language: Code | list[Code] | None = None
    banned_words: list[Word] = Field(default=[], max_length=500)

    @field_validator("language")
    @classmethod
    def _is_known(cls, given: str | list[str] | None) -> str | list[str] | None:
        codes = [given] if isinstance(given, str) else given
        if codes == []:
            raise ValueError("must name a language")
        unknown = sorted({*(codes or ())} - language.LANGUAGES)
        if unknown:
            raise ValueError(f"cannot be told apart: {', '.join(unknown)}")
        return given

    @field_validator("banned_words")
    @classmethod
    def _says_something(cls, given: list[str]) -> list[str]:
        if not all(_folded(each) for each in given):
            raise ValueError("has a word of white space only")
        return given

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        for unit in ("characters", "words"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if least is not None and most is not None and least > most:
                raise ValueError(f"`min_{unit}` is more than `max_{unit}`")
        return self


def missed(bar: TextBar, text: str) -> dict[str, str]:
    """What a text misses: what is wrong, by the name of the check.

    >>> missed(TextBar(min_words=3, banned_words=["cheap"]), "Cheap rain")
    {'min_words': '2 words, at least 3 are wanted', 'banned_words': 'it has "cheap"'}
    """
    found = dict(_lengths(bar, text))
    if bar.language is not None:
        wanted = [bar.language] if isinstance(bar.language, str) else bar.language
        seen = language.language_of(text)
        if seen is not None and seen not in wanted:
            found["language"] = f"it is in {seen}, and {' or '.join(wanted)} is wanted"
    folded = _folded(text)
    banned = [each for each in bar.banned_words if _pattern(_folded(each)).search(folded)]
    if banned:
        found["banned_words"] = "it has " + ", ".join(f'"{each}"' for each in banned[:5])
    return found


def _lengths(bar: TextBar, text: str) -> Iterator[tuple[str, str]]:
    counts = {"characters": len(text), "words": len(text.split())}
    for unit, count in counts.items():
        least, most = getattr(bar, f"min_{unit}"), getattr(bar, f"max_{unit}")
        if least is not None and count < least:
            yield f"min_{unit}", f"{count} {unit}, at least {least} are wanted"
        if most is not None and count > most:
            yield f"max_{unit}", f"{count} {unit}, at most {most} are wanted"


def _folded(text: str) -> str:
    """A text without differences that are not seen: of case, of width, of white space, and of
    characters that show nothing, such as soft hyphens."""
    shown = "".join(each for each in text if unicodedata.category(each) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", shown).casefold().split())


def _pattern(word: str) -> re.Pattern[str]:
    # The word stands in it letter by letter, so that no text takes long.
    before = rf"(?<!{_LETTER})" if _ends_a_word(word[0]) else ""
    after = rf"(?!{_LETTER})" if _ends_a_word(word[-1]) else ""
    return re.compile(before + re.escape(word) + after)


def _ends_a_word(letter: str) -> bool:
    return letter.isalnum() and re.fullmatch(_LETTER, letter) is not None


def texts_in(answer: Any) -> str:
    """All texts in an answer that is data, one in a line."""
    if isinstance(answer, str):
        return answer
    if not isinstance(answer, dict | list):
        return ""
    inner = answer.values() if isinstance(answer, dict) else answer
    return "\n".join(filter(None, (texts_in(each) for each in inner)))
