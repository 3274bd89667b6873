"""Models of any kind: how they are named, outputs of every shape, and how long they may take."""

import hashlib
import io
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from PIL import Image

from app.errors import Permanent, Retryable, Unknown
from app.files import provenance
from app.outbound.http import exchange_scope
from app.platform import CannotTell, Found, Json, Never
from ops.sandbox.replicate import gallery
from ops.sandbox.replicate.models import Model
from tasks.replicate.actions import predict_ceiling
from tasks.replicate.asking import PredictInput
from tasks.replicate.client import api
from tests.contract.cases import Claim
from tests.contract.pictures import small, upload, wait
from tests.contract.replicate.cases import PREDICT, ask
from tests.contract.reuse.asking import ended
from tests.contract.stage import Step
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel

DAY = 86_400
LONGEST = DAY + DAY // 20
"""The longest lifetime of a prediction whose step has the usual time-out."""


def pinned(model: Model) -> str:
    return f"{model.full_name}:{model.version}"


def asked(step: Claim, model: Model, given: Json) -> Step:
    """A claimed step that runs a model with inputs, of which `image` is a photograph."""
    prepared = step("replicate.predict", {})
    photos = {"image": upload(prepared, small("astronaut.png"))} if given.pop("image", 0) else {}
    name = model.full_name if model.is_official else pinned(model)
    more = {"files": photos} if photos else {}
    return replace(prepared, given={"model": name, "input": given, **more})


def made(prepared: Step) -> Json:
    return wait(prepared, PREDICT.begin(prepared))


def seen(prediction: str) -> Json:
    found: Json = ask("GET", f"/predictions/{prediction}").json()
    return found


def words(step: Claim) -> Step:
    return asked(step, gallery.WORDS, {"prompt": "rain falls"})


@pytest.mark.parametrize(
    ("model", "given", "files", "text"),
    [
        (gallery.HELLO_WORLD, {"text": "Ada"}, 0, "hello Ada"),
        (gallery.WORDS, {"prompt": "rain falls softly"}, 0, "rain falls softly"),
        (gallery.VARIANTS, {"image": True, "count": 3}, 3, None),
        (gallery.MEASURE, {"image": True}, 1, None),
        (gallery.THUMBNAIL, {"image": True}, 1, None),
        (gallery.SILENCE, {}, 0, None),
        (gallery.PAINTER, {"prompt": "blue"}, 1, None),
    ],
    ids=lambda each: each.name if isinstance(each, Model) else "",
)
def test_an_output_of_any_shape_is_kept(
    step: Claim, vendors: Vendors, model: Model, given: Json, files: int, text: str | None
) -> None:
    prepared = asked(step, model, {**given})
    output = made(prepared)
    assert (len(output["files"]), output["text"]) == (files, text)
    for kept in output["files"]:
        blob = prepared.call().artifacts.read(kept["id"])
        assert kept["sha256"] == hashlib.sha256(blob.data).hexdigest() != kept["vendor_sha256"]
        assert provenance.DIGITAL_SOURCE_TYPE.encode() in blob.data
        with Image.open(io.BytesIO(blob.data)) as picture:
            assert picture.width == kept["width"]
    # Replicate's addresses expire. In their places are the artifacts.
    assert "/pbxt/" not in str(output["output"])
    assert output["picture"] == (output["files"][0] if files else None)
    if model is gallery.MEASURE:
        assert output["output"]["grey"] == output["files"][0]
        assert output["output"]["colour"].startswith("#")
    # The files are still there when Replicate has removed its own.
    vendors.advance(3700)
    for kept in output["files"]:
        assert prepared.call().artifacts.read(kept["id"]).data


def test_a_text_that_looks_like_an_address_is_not_fetched(step: Claim, vendors: Vendors) -> None:
    address = "https://a.example/x.png"
    output = made(asked(step, gallery.WORDS, {"prompt": address}))
    assert (output["text"], output["files"]) == (address, [])


def test_a_file_that_says_that_it_is_a_picture_and_is_none_is_kept_as_a_file(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__output_shape="url")
    prepared = step("replicate.predict", {})
    photo = upload(prepared, small("astronaut.png"))
    given = {"model": pinned(gallery.COPY), "files": {"source_image": photo},
             "input": {"target_image": "data:text/plain,hello"}}  # fmt: skip
    prepared = replace(prepared, given=given)
    output = made(prepared)
    (kept,) = output["files"]
    assert (output["picture"], kept["is_marked"]) == (None, None)
    assert kept["content_type"] == "application/octet-stream"
    assert prepared.call().artifacts.read(kept["id"]).data == b"hello"


def test_a_version_that_is_not_named_is_the_latest_and_is_recorded(
    step: Claim, vendors: Vendors
) -> None:
    prepared = step("replicate.predict", {})
    name = gallery.HELLO_WORLD.full_name
    prepared = replace(prepared, given={"model": name, "input": {"text": "Ada"}})
    PREDICT.begin(prepared)
    (intent,) = prepared.intents
    assert intent.request["version"] == gallery.HELLO_WORLD.version


def test_an_official_model_runs_without_a_version(step: Claim, vendors: Vendors) -> None:
    prediction = PREDICT.begin(asked(step, gallery.PAINTER, {"prompt": "red"}))
    assert seen(prediction)["version"] == "hidden"


def test_a_deployment_runs_what_it_runs_and_its_hardware_is_paid(
    step: Claim, vendors: Vendors
) -> None:
    body = {"name": "swap", "model": gallery.WORDS.full_name, "version": gallery.WORDS.version,
            "hardware": "gpu-h100", "min_instances": 0, "max_instances": 1}  # fmt: skip
    assert ask("POST", "/deployments", body).ok
    prepared = step("replicate.predict", {})
    given = {"deployment": f"{gallery.OWNER}/swap", "input": {"prompt": "rain falls"}}
    prepared = replace(prepared, given=given)
    prediction = PREDICT.begin(prepared)
    assert wait(prepared, prediction)["text"] == "rain falls"
    assert seen(prediction)["deployment"] == "swap"
    with exchange_scope(time.monotonic() + 5, []):
        ran = api().prediction(prediction)["predict_seconds"]
    assert 0 < prepared.cost == pytest.approx(ran * 1525, abs=1)


def test_a_prediction_ends_soon_after_its_step_would_time_out(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__hold=True)
    shown = seen(PREDICT.begin(words(step)))
    times = [datetime.fromisoformat(shown[name]) for name in ("created_at", "deadline")]
    assert DAY <= (times[1] - times[0]).total_seconds() <= LONGEST


def test_a_prediction_that_is_aborted_is_free_and_says_so(step: Claim, vendors: Vendors) -> None:
    vendors.change(replicate__start_seconds=600.0)
    prepared = words(step)
    prediction = PREDICT.begin(prepared)
    vendors.advance(LONGEST)
    with pytest.raises(Permanent, match="before it began") as caught:
        wait(prepared, prediction)
    assert caught.value.code == "prediction_aborted"
    assert prepared.cost == 0
    assert vendors.count("predictions_aborted") == 1
    assert prepared.undo(external_id=prediction)["result"] == "already"


def test_a_prediction_that_is_stopped_at_replicate_is_paid(step: Claim, vendors: Vendors) -> None:
    vendors.change(replicate__hold=True)
    prepared = words(step)
    prediction = PREDICT.begin(prepared)
    until = time.monotonic() + 10
    while seen(prediction)["status"] == "starting":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert ask("POST", f"/predictions/{prediction}/cancel").ok
    with pytest.raises(Permanent, match="it was stopped") as caught:
        wait(prepared, prediction)
    assert caught.value.code == "prediction_canceled"
    assert prepared.cost > 0


def test_a_lost_prediction_without_files_is_known_by_its_lifetime(
    step: Claim, vendors: Vendors
) -> None:
    vendors.fault("replicate", "predictions.create", "lost_reply")
    lost = words(step)
    with pytest.raises(Unknown):
        lost.run()
    # Another step asks for the same at the same time.
    PREDICT.begin(words(step))
    intent = lost.open_intent()
    answer = lost.look_up()
    assert isinstance(answer, Found)
    shown = seen(answer.response["id"])
    times = [datetime.fromisoformat(shown[name]) for name in ("created_at", "deadline")]
    assert (times[1] - times[0]).total_seconds() == intent.request["cancel_after"]
    lost.adopt(answer)
    assert made(lost)["text"] == "rain falls"
    assert vendors.count("predictions") == 2


def test_two_predictions_that_may_be_that_of_a_step_are_neither(
    step: Claim, vendors: Vendors
) -> None:
    vendors.fault("replicate", "predictions.create", "lost_reply")
    lost = words(step)
    with pytest.raises(Unknown):
        lost.run()
    intent = lost.open_intent()
    with exchange_scope(time.monotonic() + 5, []):
        api().create_prediction(intent.request)
    assert isinstance(lost.look_up(), CannotTell)
    other = replace(intent, request=intent.request | {"input": {"prompt": "snow"}})
    other = replace(other, first_sent_at=datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    assert isinstance(lost.look_up(other), Never)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"source": "a"},
        {"source": "a", "target": "b", "input": {}},
        {"source": "a", "target": "b", "model": "a/b", "deployment": "a/c"},
        {"input": {"a": 1}},
        {"model": "a/b"},
        {"model": "a/b", "input": {"a": 1}, "files": {"a": "x"}},
        {"model": "a/b", "files": {"a": ["x"] * 21}},
        {"model": "a", "input": {}},
    ],
)
def test_an_input_that_does_not_say_what_to_run_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        PredictInput.model_validate(given)


def test_a_model_without_pictures_swaps_no_face(step: Claim, vendors: Vendors) -> None:
    prepared = step("replicate.predict", {})
    photo = upload(prepared, small("astronaut.png"))
    given = {"source": photo, "target": photo, "model": gallery.HELLO_WORLD.full_name}
    with pytest.raises(Permanent) as caught:
        replace(prepared, given=given).run()
    assert caught.value.code == "model_unsuitable"
    assert vendors.total() == 0
    assert predict_ceiling(PredictInput(model="a/b", input={}), DAY) > 0


def test_a_prediction_may_last_as_long_as_its_step(kernel: Kernel, vendors: Vendors) -> None:
    given = {"model": pinned(gallery.WORDS), "input": {"prompt": "rain falls"}}
    step = {"step": "say", "action": "replicate.predict", "timeout": "2h", "with": given}
    workflow = ended(kernel, step)
    shown = seen(kernel.step(workflow, "say")["output"]["prediction"])
    times = [datetime.fromisoformat(shown[name]) for name in ("created_at", "deadline")]
    assert 7200 <= (times[1] - times[0]).total_seconds() < 7560


@pytest.mark.parametrize(
    "path", ["/v1/account", "/v1", "//v1/files", "/x/../v1/files", "/%76%31/x"]
)
def test_a_model_that_names_an_address_of_the_api_gets_nothing_from_there(
    step: Claim, vendors: Vendors, path: str
) -> None:
    """With our token, it would tell whoever runs the model what all organisations have made."""
    step("replicate.predict", {})  # with our credentials
    there = vendors.urls["replicate"]
    assert not api().serves(f"{there}{path}")
    assert api().serves(f"{there}/pbxt/file/out.png")
    with pytest.raises(Retryable) as caught:
        api().download(f"{there}/v1/account")
    assert caught.value.code == "result_refused"
