"""The examples of the README and of the guides hold as they stand there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chains.actions import actions
from chains.plans.validation import definition_of, examine

CHECKOUT = Path(__file__).parents[2]
PAGES = ("README.md", "ops/guide/definitions.md")


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of the page in this language."""
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_each_definition_of_a_page_is_valid(page: str) -> None:
    found = [json.loads(block) for block in blocks(page, "json")]
    assert found
    for body in found:
        assert examine(definition_of(body), actions()).steps


def test_the_test_of_the_guide_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (body,) = blocks("ops/guide/definitions.md", "json")
    (source,) = blocks("ops/guide/definitions.md", "python")
    (tmp_path / "shop_order.json").write_text(body)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(source, names)
    names["test_a_failed_mail_closes_the_room"]()
