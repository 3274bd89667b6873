"""The README's examples, as they stand there (that of a platform: tests/foreign/test_guide.py)."""

import json
from datetime import timedelta
from typing import Any

import pytest

from chains.actions import actions
from chains.language.faults import DefinitionRefused
from chains.plans.validation import definition_of, examine
from chains.rehearsal import Permanent, rehearse
from tests.unit.documents import README, blocks

BODY = {
    "name": "shop_order",
    "do": {
        "sequence": [
            {"approval": "review", "timeout": "7d"},
            {"step": "room", "action": "agora.open_channel", "with": {"title": "Premiere"}},
            {"step": "mail", "action": "n8n.notify", "with": {"event": "open", "data": {}}},
        ]
    },
}
REHEARSAL = next(block for block in blocks(README, "python") if "rehearse(" in block)


def rehearsed(body: dict[str, Any]) -> Any:
    names: dict[str, Any] = {
        "BODY": body, "Permanent": Permanent, "rehearse": rehearse, "timedelta": timedelta,
    }  # fmt: skip
    exec(compile(REHEARSAL, "README.md", "exec"), names)
    return names["run"]


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_its_rehearsal_ends_as_it_says() -> None:
    run = rehearsed(BODY)
    assert run.ran == ["review", "room", "mail"]
    assert run.calls("agora.open_channel") == [{"title": "Premiere"}]


def test_its_rehearsal_would_fail_if_nothing_were_undone() -> None:
    steps: list[Any] = list(BODY["do"]["sequence"])  # type: ignore[index] # JSON
    kept = [{**each, "compensation": "none"} if "step" in each else each for each in steps]
    with pytest.raises(AssertionError):
        rehearsed({**BODY, "do": {"sequence": kept}})


def test_its_definition_is_valid() -> None:
    (text,) = blocks(README, "json")
    plan = examine(definition_of(json.loads(text)), actions())
    assert {"caption", "swap", "swap[].render"} <= set(plan.steps)
    wrong = json.loads(text.replace("openai.caption", "openai.capture"))
    with pytest.raises(DefinitionRefused):
        examine(definition_of(wrong), actions())
