"""`replicate.predict` over several models that do the same job: the next one if one is down."""

import time
from dataclasses import replace
from typing import Any

import pytest

from app import db
from app.errors import NotServed, Permanent, Suspend, Unknown
from app.outbound.http import exchange_scope
from app.platform import Found, Json
from app.tariffs import current
from app.tariffs.rows import End
from ops.sandbox.replicate.gallery import COPY, FACE_SWAP, OWNER, PORTRAIT, VARIANTS, WORDS
from tasks.replicate.client import api
from tasks.replicate.finding import CREATE
from tests.contract.cases import Claim
from tests.contract.pictures import small, upload
from tests.contract.replicate.cases import SWAPS, predict_either
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

BROKEN = "Director: unexpected error handling prediction (E9243)"
GONE = f"{OWNER}/gone"


def down(vendors: Vendors, version: str, error: str = BROKEN) -> None:
    """Let each prediction of a version fail, as one of a model that does not work does."""
    vendors.fault("replicate", "predictions.create", "fail", error=error, match=version, count=-1)


def ended(step: Step) -> Json:
    """Poll the step to its end, over all models."""
    known, until = None, time.monotonic() + 20
    while True:
        try:
            return step.run(known)
        except Suspend as waiting:
            assert time.monotonic() < until, "the platform does not come to an end"
            known = waiting.external_id
            time.sleep(0.05)


def codes(step: Step) -> list[Json]:
    rows = db.rows(
        "SELECT body::jsonb -> 'data' AS data FROM events WHERE workflow_id = %s"
        " AND body::jsonb ->> 'type' = 'ModelPassedOver' ORDER BY seq",
        (step.claim.workflow_id,),
    )
    return [row["data"] for row in rows]


def ran(prediction: str) -> float:
    with exchange_scope(time.monotonic() + 5, []):
        return float(api().prediction(prediction)["predict_seconds"])


def test_of_two_models_that_swap_faces_the_second_does_it_if_the_first_is_down(
    step: Claim, vendors: Vendors
) -> None:
    down(vendors, FACE_SWAP.version)
    asked = predict_either(step)
    made = ended(asked)
    first, second = made["route"]
    assert first == {"model": FACE_SWAP.full_name, "why": f"it does not work: {BROKEN}"}
    assert second == {"model": f"{PORTRAIT.full_name}:{PORTRAIT.version}", "why": None}
    assert made["picture"]["width"] > 1
    assert codes(asked) == [{"model": FACE_SWAP.full_name, "code": "down"}]
    one, other = vendors.ids("predictions")
    assert made["prediction"] == other
    created = [each.request for each in asked.intents if each.operation == CREATE]
    assert [{*each["input"]} for each in created] == [
        {"source_image", "target_image"},
        {"swap_image", "input_image", "upscale"},
    ]
    # The photographs are uploaded once, and both predictions are paid: that of the second model,
    # which has no price, at the dearest hardware.
    assert vendors.count("files") == 2
    spent = asked.cost
    assert 0 < spent == pytest.approx(ran(one) * 975 + ran(other) * 12_200, abs=2)
    assert spent <= asked.ceiling
    assert ended(replace(asked, cost=0))["route"] == made["route"]
    assert vendors.count("predictions") == 2
    undone = asked.undo(external_id=other, output=made)
    assert (undone["result"], undone["erased"], undone["files_deleted"]) == ("discarded", 1, 2)
    assert asked.cost == spent


def test_a_model_that_is_not_there_or_has_ended_is_passed_over_and_costs_nothing(
    step: Claim, vendors: Vendors
) -> None:
    prepared = predict_either(step)
    current.keep_end("replicate", End(FACE_SWAP.full_name, current.today(), "acme/next"))
    current.forget()
    version = f"{PORTRAIT.full_name}:{'0' * 64}"
    models = [{"model": GONE}, {"deployment": f"{OWNER}/none"}, {"model": version}, *SWAPS]
    asked = replace(prepared, given=prepared.given | {"models": models})
    made = ended(asked)
    whys = {each["model"]: each["why"] for each in made["route"]}
    assert "404" in whys[GONE]
    assert "404" in whys[f"{OWNER}/none"]
    assert "404" in whys[version]
    assert whys[FACE_SWAP.full_name].endswith("choose acme/next")
    assert [each["code"] for each in codes(asked)] == ["ended", "missing", "missing", "missing"]
    assert vendors.count("predictions") == 1
    alone = replace(predict_either(step), given=prepared.given | {"models": SWAPS[:1]})
    with pytest.raises(Permanent, match="choose acme/next") as caught:
        alone.run()
    assert caught.value.code == "model_ended"


def test_a_version_that_is_refused_when_it_is_run_is_passed_over(
    step: Claim, vendors: Vendors
) -> None:
    with exchange_scope(time.monotonic() + 5, []):
        api().model(FACE_SWAP.full_name)
    vendors.fault("replicate", "predictions.create", "status", status=404)
    asked = predict_either(step)
    made = ended(asked)
    assert made["route"][1]["why"] is None
    created = [each for each in asked.intents if each.operation == CREATE]
    assert [each.resolution for each in created] == ["refused", "accepted"]
    assert [each.ordinal for each in created] == [2, 3]


def test_no_other_model_is_asked_while_it_is_unknown_what_became_of_a_prediction(
    step: Claim, vendors: Vendors
) -> None:
    vendors.fault("replicate", "predictions.create", "lost_reply")
    asked = predict_either(step)
    for _ in range(2):
        with pytest.raises(Unknown):
            asked.run()
    assert vendors.count("predictions") == 1
    found = asked.look_up()
    assert isinstance(found, Found)
    asked.adopt(found)
    assert ended(asked)["prediction"] == found.response["id"]
    assert vendors.count("predictions") == 1


def test_the_lost_prediction_of_the_second_model_is_not_mistaken_for_that_of_the_first(
    step: Claim, vendors: Vendors
) -> None:
    # Both models take the same files by the same names.
    prepared = predict_either(step)
    models = [{"model": FACE_SWAP.full_name}, {"model": COPY.full_name}]
    asked = replace(prepared, given=prepared.given | {"models": models})
    down(vendors, FACE_SWAP.version)
    with pytest.raises(Suspend) as waiting:
        asked.run()
    first = waiting.value.external_id
    vendors.fault("replicate", "predictions.create", "lost_reply")
    with exchange_scope(time.monotonic() + 20, []):
        while api().prediction(first)["is_running"]:
            time.sleep(0.05)
    with pytest.raises(Unknown):
        asked.run(first)
    found = asked.look_up()
    assert isinstance(found, Found)
    assert found.response["id"] == vendors.ids("predictions")[1] != first


def test_the_prediction_of_the_last_model_is_stopped_though_the_step_has_waited_for_the_first(
    step: Claim, vendors: Vendors
) -> None:
    down(vendors, FACE_SWAP.version)
    asked = predict_either(step)
    with pytest.raises(Suspend) as waiting:
        asked.run()
    first = waiting.value.external_id
    with exchange_scope(time.monotonic() + 20, []):
        while api().prediction(first)["is_running"]:
            time.sleep(0.05)
    vendors.change(replicate__hold=True)
    with pytest.raises(Suspend) as waiting:
        asked.run(first)
    # Its worker dies before it is recorded that the step waits for the second.
    undone = asked.undo(external_id=first, status="cancelled")
    assert (undone["prediction"], undone["result"]) == (waiting.value.external_id, "canceled")


def test_what_is_wrong_with_the_photographs_is_no_reason_for_another_model(
    step: Claim, vendors: Vendors
) -> None:
    down(vendors, FACE_SWAP.version, "no face was found in the source image")
    asked = predict_either(step)
    with pytest.raises(Permanent, match="no face") as caught:
        ended(asked)
    assert caught.value.code == "prediction_failed"
    assert vendors.count("predictions") == 1


def test_a_model_may_have_words_of_its_own_for_being_down(step: Claim, vendors: Vendors) -> None:
    down(vendors, FACE_SWAP.version, "GFPGAN weights are missing")
    prepared = predict_either(step)
    first = SWAPS[0] | {"is_down": ["weights are missing"]}
    asked = replace(prepared, given=prepared.given | {"models": [first, SWAPS[1]]})
    assert ended(asked)["route"][1]["why"] is None


def test_if_all_models_are_down_the_error_says_it_of_each_and_all_are_paid(
    step: Claim, vendors: Vendors
) -> None:
    down(vendors, FACE_SWAP.version)
    down(vendors, PORTRAIT.version, "CUDA out of memory. Tried to allocate 5.92 GiB")
    asked = predict_either(step)
    with pytest.raises(Permanent, match=r"E9243.*out of memory") as caught:
        ended(asked)
    assert caught.value.code == "no_model_left"
    assert vendors.count("predictions") == 2
    assert asked.cost > 0


def test_inputs_are_renamed_and_outputs_picked_for_models_of_any_kind(
    step: Claim, vendors: Vendors
) -> None:
    prepared = step("replicate.predict", {})
    photo = upload(prepared, small("astronaut.png"))
    models: list[dict[str, Any]] = [
        {"model": GONE, "rename": {"photo": "image"}},
        {"model": VARIANTS.full_name, "rename": {"photo": "image", "strength": None},
         "constants": {"count": 3}, "pick": "1"},
    ]  # fmt: skip
    given = {"input": {"strength": 0.5}, "files": {"photo": photo}, "models": models}
    asked = replace(prepared, given=given)
    made = ended(asked)
    assert len(made["files"]) == 1
    assert made["output"] == made["picture"] == made["files"][0]
    (request,) = [each.request for each in asked.intents if each.operation == CREATE]
    assert {*request["input"]} == {"image", "count"}
    wrong = replace(
        step("replicate.predict", {}),
        given={"input": {"prompt": "rain"}, "models": [{"model": WORDS.full_name, "pick": "a"}]},
    )
    with pytest.raises(Permanent) as caught:
        ended(wrong)
    assert caught.value.code == "output_unfit"


def test_files_that_expired_while_the_step_was_held_are_uploaded_again(
    step: Claim, vendors: Vendors
) -> None:
    asked = predict_either(step)
    vendors.fault("replicate", "predictions.create", "status", status=429)
    with pytest.raises(NotServed):
        asked.run()
    db.rows(
        "UPDATE intents SET first_sent_at = first_sent_at - interval '13 hours'"
        " WHERE workflow_id = %s RETURNING 1",
        (asked.claim.workflow_id,),
    )
    assert ended(asked)["route"] == [{"model": FACE_SWAP.full_name, "why": None}]
    made = [(each.operation.partition("#")[0], each.ordinal) for each in asked.intents]
    uploads = ("files.create", "files.create", CREATE)
    assert made == [*zip((*uploads, *uploads), range(6), strict=True)]
    assert vendors.count("files") == 4
