"""The examples in documents."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
README = CHECKOUT / "README.md"


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language, without their fences."""
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"{document.name} has no example in {language}"
    return [str(block) for block in found]
