"""What a text misses of a bar."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.quality.language import language_of
from tasks.quality.texts import TextBar, missed, texts_in

ENGLISH = "The show begins at eight, and the doors open one hour before that."
GERMAN = "Die Vorstellung beginnt um acht Uhr, und die Türen öffnen eine Stunde vorher."
JAPANESE = "公演は八時に始まり、会場はその一時間前に開きます。皆様のお越しをお待ちしています。"


@pytest.mark.parametrize(
    ("bar", "text", "checks"),
    [
        ({"min_words": 3}, "two words", ["min_words"]),
        ({"max_words": 3}, "one two\n three  four", ["max_words"]),
        ({"min_characters": 5, "max_characters": 9}, "abc", ["min_characters"]),
        ({"max_characters": 2}, "abc", ["max_characters"]),
        ({"banned_words": ["cheap"]}, "CHEAP, they say", ["banned_words"]),
        ({"banned_words": ["cheap"]}, "a cheapskate", []),
        ({"banned_words": ["best price"]}, "the best\n  Price!", ["banned_words"]),
        ({"banned_words": ["straße"]}, "in der STRASSE", ["banned_words"]),
        ({"banned_words": ["$5", "c++"]}, "US$5 and C++", ["banned_words"]),
        ({"banned_words": ["最安"]}, "最安値です", ["banned_words"]),
        ({"banned_words": ["cheap"]}, "これはcheapです", ["banned_words"]),
        ({"banned_words": ["cheap"]}, "che\u200ba\u00adp rain", ["banned_words"]),
        ({"banned_words": ["サーカス"]}, "ｻｰｶｽが来る", ["banned_words"]),
        ({"banned_words": ["(a+)+$"]}, "a" * 10_000, []),
        ({"language": "en"}, ENGLISH, []),
        ({"language": "en"}, GERMAN, ["language"]),
        ({"language": ["fr", "de"]}, GERMAN, []),
        ({"language": "en"}, JAPANESE, ["language"]),
        ({"language": "en"}, "Nein.", []),
        ({"min_words": 20, "language": "de"}, ENGLISH, ["min_words", "language"]),
    ],
)
def test_each_check_finds_what_it_is_for(bar: Any, text: str, checks: list[str]) -> None:
    assert [*missed(TextBar(**bar), text)] == checks


@pytest.mark.parametrize(
    "bar",
    [
        {"min_words": 0},
        {"min_words": 5, "max_words": 4},
        {"language": "english"},
        {"language": "xq"},
        {"language": []},
        {"banned_words": [" \n"]},
        {"words": 3},
    ],
)
def test_a_bar_that_cannot_be_met_or_checked_is_refused(bar: Any) -> None:
    with pytest.raises(ValidationError):
        TextBar(**bar)


def test_a_text_is_in_one_language() -> None:
    assert [language_of(each) for each in (ENGLISH, GERMAN, JAPANESE)] == ["en", "de", "ja"]
    assert language_of("1234567890" * 10) is None
    assert language_of(ENGLISH.upper() * 2_000) == "en"


def test_of_data_all_texts_count() -> None:
    answer = {"title": "A", "tags": ["b", {"c": "d"}], "n": 5, "none": None}
    assert texts_in(answer) == "A\nb\nd"
