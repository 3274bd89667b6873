"""The examples of the README and of the guide for authors hold as they stand there.

tests/foreign/test_guide.py runs the platform of the README and the guide for platforms.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app.engine.attempt import checked_input
from chains.actions import actions
from chains.definitions import noop_chain
from chains.language.faults import DefinitionRefused
from chains.language.flow import Flow
from chains.plans.validation import definition_of, examine
from chains.rehearsal import Permanent, rehearse
from tests.unit.documents import CHECKOUT, README, blocks

HTTP_GUIDE = CHECKOUT / "ops" / "guide" / "http.md"
GUIDE = CHECKOUT / "ops" / "guide" / "definitions.md"
PAYMENTS_GUIDE = CHECKOUT / "ops" / "guide" / "payments.md"
PROMPTS_GUIDE = CHECKOUT / "ops" / "guide" / "prompts.md"
REPLICATE_GUIDE = CHECKOUT / "ops" / "guide" / "replicate.md"
ROUTING_GUIDE = CHECKOUT / "ops" / "guide" / "routing.md"
FLOW_GUIDE = CHECKOUT / "ops" / "guide" / "flow.md"


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_definition_of_the_readme_is_valid() -> None:
    (text,) = blocks(README, "json")
    plan = examine(definition_of(json.loads(text)), actions())
    assert {"caption", "swap", "swap[].render"} <= set(plan.steps)
    wrong = json.loads(text.replace("openai.caption", "openai.capture"))
    with pytest.raises(DefinitionRefused):
        examine(definition_of(wrong), actions())


def test_the_approvals_of_the_guide_are_valid() -> None:
    _, text, reminding, review, _ = blocks(GUIDE, "json")
    hold = {"step": "authorize", "action": "stripe.authorize", "with": {"$": "input"}}
    both = {"sequence": [hold, json.loads(review)]}
    examine(definition_of({"name": "reviewing", "do": both}), actions())
    checked_input(
        actions()["stripe.review"], json.loads(review)["with"] | {"payment_intent": "pi_1"}
    )
    examine(definition_of({"name": "reminding", "do": json.loads(reminding)}), actions())
    node = json.loads(text)
    examine(definition_of({"name": "asking", "do": node}), actions())
    node["show"]["amount"] = 19
    with pytest.raises(DefinitionRefused, match="/do/show/amount"):
        examine(definition_of({"name": "asking", "do": node}), actions())


def test_the_steps_of_the_guide_for_payments_are_valid() -> None:
    nodes = [json.loads(text) for text in blocks(PAYMENTS_GUIDE, "json")]
    # tests/contract/stripe/test_confirmations.py runs the sequence.
    steps = [each for each in nodes if "step" in each]
    assert len(nodes) == len(steps) + 1
    assert [each["action"] for each in steps] == [
        "stripe.authorize",
        "stripe.subscribe",
        "stripe.checkout",
    ]
    examine(definition_of({"name": "selling", "do": {"sequence": steps}}), actions())
    del steps[2]["with"]["success_url"]
    with pytest.raises(DefinitionRefused, match="success_url"):
        examine(definition_of({"name": "selling", "do": steps[2]}), actions())


def test_the_steps_of_the_guide_for_replicate_are_valid() -> None:
    steps = [json.loads(text) for text in blocks(REPLICATE_GUIDE, "json")]
    examine(definition_of({"name": "training", "do": {"sequence": steps}}), actions())
    vary, learn, serve = (each["with"] for each in steps)
    checked_input(actions()["replicate.predict"], vary | {"files": {"image": "a"}})
    checked_input(actions()["replicate.train"], learn)
    checked_input(actions()["replicate.deploy"], serve | {"model": learn["model"]})


def test_the_steps_of_the_guide_for_several_models_are_valid() -> None:
    ask, swap = (json.loads(text) for text in blocks(ROUTING_GUIDE, "json"))
    examine(definition_of({"name": "routing", "do": {"sequence": [ask, swap]}}), actions())
    checked_input(actions()["openai.respond"], ask["with"] | {"input": "Dear all"})
    checked_input(actions()["replicate.predict"], swap["with"] | {"source": "a", "target": "b"})


def test_the_definition_with_every_kind_of_node_runs_to_its_end() -> None:
    *_, text = blocks(GUIDE, "json")
    body = json.loads(text)
    examine(definition_of(body), actions())
    made = {"status": 201, "headers": {}, "json": {"id": "j1"}, "text": None}
    looks = [{"state": "runs"}, {"state": "done", "result": {"words": 2}}]
    answers = [{"status": 200, "headers": {}, "json": look, "text": None} for look in looks]
    run = rehearse(
        body,
        input={"briefs": ["a", "b"], "express": True},
        definitions={"noop_chain": noop_chain.BODY},
        actions={
            "openai.caption": [{"caption": "A"}, Permanent("no")],
            "agora.open_channel": {"channel": "c"},
            "http.request": [made, *answers],
        },
        signals=[("publish", {"approved": True, "by": "ada@example.com"}, "1d")],
    )
    assert (run.status, run.output["words"]) == ("succeeded", 2)
    assert [each["index"] for each in run.output["failed"]] == [1]


def test_each_example_of_the_guide_for_http_is_valid() -> None:
    examples = [json.loads(text) for text in blocks(HTTP_GUIDE, "json")]
    recipes = [each for each in examples if "do" in each]
    for body in recipes:
        examine(definition_of(body), actions())
    for given in [each for each in examples if "do" not in each]:
        checked_input(actions()["http.request"], given)
    assert (len(recipes), len(examples)) == (1, 3)


def guided(folder: Path, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]) -> None:
    """Run the guide's test on a definition."""
    (source,) = blocks(GUIDE, "python")
    (folder / "shop_order.json").write_text(json.dumps(body))
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(source, GUIDE.name, "exec"), names)
    names["test_a_failed_mail_closes_the_room"]()


def test_the_test_of_the_guide_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, *_ = blocks(GUIDE, "json")
    body = json.loads(text)
    guided(tmp_path, monkeypatch, body)
    steps = body["do"]["sequence"]
    kept = [{**each, "compensation": "none"} if "step" in each else each for each in steps]
    with pytest.raises(AssertionError):
        guided(tmp_path, monkeypatch, {**body, "do": {"sequence": kept}})


def test_each_example_of_the_guide_for_flow_control_is_valid() -> None:
    examples = [json.loads(text) for text in blocks(FLOW_GUIDE, "json")]
    (schema,) = [each for each in examples if "properties" in each]
    flows = [each for each in examples if each is not schema]
    for flow in flows:
        node = {"step": "a", "action": "control.noop", "with": {}}
        body = {"name": "sample", "do": node, "flow": flow}
        collects = "batch" in flow
        examine(definition_of({**body, "input_schema": schema} if collects else body), actions())
    used = {name for flow in flows for name in flow}
    assert used == set(Flow.model_fields)


def test_the_test_of_the_guide_for_flow_control_passes() -> None:
    (source,) = blocks(FLOW_GUIDE, "python")
    names: dict[str, Any] = {}
    exec(compile(source, "flow.md", "exec"), names)
    (test,) = [each for name, each in names.items() if name.startswith("test_")]
    test()


def test_the_examples_of_the_guide_for_prompts_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, body, recorded = (json.loads(text) for text in blocks(PROMPTS_GUIDE, "json"))
    checked_input(actions()["openai.caption"], recorded)
    (tmp_path / "caption.json").write_text(json.dumps(prompt))
    (tmp_path / "captioned.json").write_text(json.dumps(body))
    monkeypatch.chdir(tmp_path)
    (source,) = blocks(PROMPTS_GUIDE, "python")
    names: dict[str, Any] = {}
    exec(compile(source, PROMPTS_GUIDE.name, "exec"), names)
    names["test_the_brief_reaches_the_model"]()
