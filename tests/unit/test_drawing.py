"""Pictures and differences of definitions, and the same JSON from Python."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from chains.actions import actions
from chains.catalogue.differences import difference
from chains.drawing.picture import MAX_WIDTH, draw
from chains.language.definition import Definition
from tests.unit.definitions import FAN, noop
from tests.unit.kinds import EVERY_KIND

SVG = "{http://www.w3.org/2000/svg}"


def picture(body: dict[str, Any]) -> ElementTree.Element:
    # Our own text, not a stranger's.
    return ElementTree.fromstring(draw(Definition.from_body(body), actions=actions()))


def texts(root: ElementTree.Element) -> str:
    return "\n".join(each.text or "" for each in root.iter(f"{SVG}text"))


def test_every_kind_of_node_is_drawn_with_what_decides_it() -> None:
    told = texts(picture(EVERY_KIND))
    for words in (
        "first", "4 tries · within 10m", "parallel both", "map swap", "for each of input.photos",
        "8 at once · collects failures", "wait for 90s", "choice tier", "if input.tier == 'gold'",
        "otherwise", "approval: signal boss", "by ada@example.com", "loop refine",
        "reminds after 4h, 1d",
        "at most 5 times, then go on", "workflow noop_chain", "is not awaited", "PIVOT",
        "wait for the event tin.*", "with event.data.n == input.n", "or of the last 2h",
        "after 3d it goes on",
        "↩ undone by control.noop", "↩ never undone", "Every kind of node <at once> & 名前",
    ):  # fmt: skip
        assert words in told, words


@pytest.mark.parametrize("number", [1, 7, 100])
def test_a_picture_is_not_wider_than_its_bound_however_many_branches_there_are(
    number: int,
) -> None:
    branches = [noop(f"b{n}") for n in range(number)]
    root = picture({"name": "sample", "do": {"parallel": "p", "branches": branches}})
    assert float(root.attrib["width"]) <= MAX_WIDTH + 100
    assert all(f"b{n}" in texts(root) for n in range(number))


def test_hostile_texts_are_shortened_and_cannot_leave_the_picture() -> None:
    evil = "\u202e</text><script>alert(1)</script>\x07" + "x" * 3000
    node = {"approval": "a", "by": [evil], "when": f"input.a == '{'y' * 3000}'"}
    drawn = draw(Definition.from_body({"name": "sample", "description": evil, "do": node}))
    assert "<script" not in drawn
    assert "\u202e" not in drawn
    assert len(drawn) < 20_000
    ElementTree.fromstring(drawn)  # our own text


def test_the_functions_give_the_json_that_one_writes_by_hand() -> None:
    do = EVERY_KIND["do"]["sequence"]
    assert json.loads(json.dumps(do[3])) == {
        "loop": "refine",
        "until": "steps.again.output.turn > `1`",
        "max": 5,
        "on_exhausted": "go_on",
        "do": {"step": "again", "action": "control.noop", "with": {"turn": {"$": "index"}}},
    }
    assert do[4] == {
        "workflow": "sub",
        "type": "noop_chain",
        "with": {},
        "await": False,
        "on_stop": "leave",
    }
    assert do[2]["cases"][0] == {
        "when": "input.tier == 'gold'",
        "do": {
            "approval": "boss",
            "by": ["ada@example.com"],
            "timeout": "2d",
            "remind": ["4h", "1d"],
        },
    }
    assert set(do[2]) == {"choice", "cases", "otherwise"}


def test_a_difference_names_the_steps_it_touches() -> None:
    old = {"name": "sample", "do": FAN}
    changed = json.loads(json.dumps(old))
    changed["timeout"] = "1h"
    changed["do"]["sequence"][0]["priority"] = 7
    changed["do"]["sequence"][2]["do"]["sequence"][1] = noop("t")
    del changed["do"]["sequence"][3]
    found = difference(Definition.from_body(old), Definition.from_body(changed), ("one", "two"))
    assert (found.added, found.removed) == (["each[].t"], ["each[].s", "z"])
    assert [(each.key, each.fields) for each in found.changed] == [("a", ["priority"])]
    assert found.others == ["timeout"]
    assert '+  "timeout": 3600.0' in found.text
    same = difference(Definition.from_body(old), Definition.from_body(old), ("one", "two"))
    assert (same.text, same.changed) == ("", [])
