"""Plans into canvases: what one publish carries."""

from typing import Any
from uuid import UUID

from celery import Celery

from app.broker.links import heads, task_id
from chains.plans.compiler import Compiler, body_rows, first_rows
from tests.unit.definitions import FAN, noop, planned

WORKFLOW = UUID("019a0000-0000-7000-8000-000000000001")
APP = Celery("test", broker="memory://")


def compiler(node: dict[str, Any]) -> Compiler:
    return Compiler(APP, planned(node), WORKFLOW)


def keys_of(signature: Any) -> Any:
    """A canvas as nested step keys: chains as lists, chords as (parts, body)."""
    kind = signature.get("subtask_type")
    if kind == "chain":
        return [keys_of(task) for task in signature["kwargs"]["tasks"]]
    if kind == "chord":
        header = signature["kwargs"]["header"]
        parts = header["kwargs"]["tasks"] if isinstance(header, dict) else header
        return tuple(keys_of(part) for part in parts), keys_of(signature["kwargs"]["body"])
    if kind == "group":
        return {"side by side": [keys_of(task) for task in signature["kwargs"]["tasks"]]}
    return signature["args"][1]


def test_a_canvas_reaches_to_the_next_join_and_what_follows_it_is_dispatched_there() -> None:
    canvas = compiler(FAN).canvas(["a"])
    assert canvas is not None
    assert keys_of(canvas) == ["a", (("b", ["c", "d"]), ["both", "each~expand"])]


def test_the_path_of_a_part_carries_its_join() -> None:
    canvas = compiler(FAN).path("d")
    assert keys_of(canvas) == "d"
    assert keys_of(canvas.options["chord"]) == ["both", "each~expand"]


def test_a_map_item_joins_its_map() -> None:
    canvas = compiler(FAN).canvas(["each[0].r", "each[1].r"])
    assert canvas is not None
    assert keys_of(canvas) == (
        (["each[0].r", "each[0].s"], ["each[1].r", "each[1].s"]),
        ["each", "z"],
    )


def test_a_long_sequence_is_cut_into_segments() -> None:
    canvas = compiler({"sequence": [noop(f"s{n}") for n in range(50)]}).canvas(["s0"])
    assert canvas is not None
    assert keys_of(canvas) == [f"s{n}" for n in range(20)]


def wide(action: str, items: int) -> list[list[str]]:
    """The keys of each message that a map of so many items comes to."""
    leaf = {"step": "leaf", "action": action, "with": {"seconds": 1}}
    node = {"map": "each", "over": {"$": "input.items"}, "max_concurrency": 5000, "do": leaf}
    canvas = compiler(node).canvas([f"each[{n}].leaf" for n in range(items)])
    assert canvas is not None
    if canvas.get("subtask_type") != "chord":
        return [sorted(heads(canvas))]
    header = canvas["kwargs"]["header"]
    parts = header["kwargs"]["tasks"] if isinstance(header, dict) else header
    return [sorted(heads(part)) for part in parts]


def test_quick_siblings_share_messages_of_equal_size() -> None:
    assert [len(keys) for keys in wide("control.noop", 10)] == [10]
    assert [len(keys) for keys in wide("control.noop", 60)] == [20, 20, 20]
    keys = [key for keys in wide("control.noop", 60) for key in keys]
    assert sorted(keys) == sorted(f"each[{n}].leaf" for n in range(60))


def test_what_takes_time_has_a_message_of_its_own() -> None:
    assert [len(keys) for keys in wide("control.sleep", 3)] == [1, 1, 1]


def test_siblings_of_other_joins_or_priorities_have_other_messages() -> None:
    urgent = {**noop("c"), "priority": 9}
    parts = compiler({"parallel": "all", "branches": [noop("a"), noop("b"), urgent]})
    assert parts.one_message(["a", "b"]) == "control.noop"
    assert parts.one_message(["a", "c"]) is None


def test_task_ids_are_the_same_at_every_compile() -> None:
    first, second = compiler(FAN).path("z"), compiler(FAN).path("z")
    assert first.options["task_id"] == second.options["task_id"] == str(task_id(WORKFLOW, "z"))


def test_heads_of_a_canvas_are_the_steps_it_starts_with() -> None:
    canvas = compiler(FAN).canvas(["b", "c"])
    assert canvas is not None
    assert heads(canvas) == {"b", "c"}


def test_messages_carry_ids_only() -> None:
    canvas = compiler(FAN).path("z")
    assert canvas["args"] == (str(WORKFLOW), "z")
    assert canvas["kwargs"] == {}


def test_a_workflow_starts_without_its_map_items() -> None:
    rows = {row["key"]: row for row in first_rows(planned(FAN))}
    assert set(rows) == {"a", "b", "c", "d", "both", "each~expand", "each", "z"}
    assert [key for key, row in rows.items() if row["released"]] == ["a"]


def test_only_the_window_of_a_map_is_released() -> None:
    rows, starts = body_rows(planned(FAN), "each", ["x", "y", "z"], 0, 2)
    assert starts == ["each[0].r", "each[1].r"]
    assert len(rows) == 6
    assert {row["key"] for row in rows if row["released"]} == set(starts)
    items = {row["key"]: row.get("item") for row in rows}
    assert items["each[2].r"] == "z"
    assert items["each[2].s"] is None, "a step that does not name its item does not carry it"
