"""What only Replicate does: pictures that are stored, uploads, and results that expire."""

import hashlib
import io
import time
from dataclasses import replace
from datetime import timedelta
from math import ceil

import pytest
from PIL import Image, ImageChops

from app.errors import Permanent, Retryable, Unknown
from app.files import provenance
from app.outbound.http import exchange_scope
from app.platform import Found, Json, Never
from app.tariffs import current
from app.tariffs.rows import End
from tasks.replicate.client import api
from tasks.replicate.settings import ReplicateSettings
from tests.contract.cases import Claim
from tests.contract.pictures import small, upload, wait
from tests.contract.replicate.cases import PREDICT, predict
from tests.contract.vendors import Vendors
from tests.photographs import told


def test_a_swap_is_owned_with_its_hash_and_provenance(step: Claim, vendors: Vendors) -> None:
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    made = wait(prepared, prediction)
    kept = prepared.call().artifacts.read(made["picture"]["id"])
    assert made["sha256"] == hashlib.sha256(kept.data).hexdigest()
    assert made["vendor_sha256"] == made["picture"]["vendor_sha256"] != made["sha256"]
    assert provenance.DIGITAL_SOURCE_TYPE.encode() in kept.data
    assert prepared.cost > 0
    assert wait(prepared, prediction)["picture"]["id"] == made["picture"]["id"]
    with (
        Image.open(io.BytesIO(kept.data)) as ours,
        Image.open(io.BytesIO(small("astronaut.png"))) as target,
    ):
        assert ours.size == target.size
        assert ImageChops.difference(ours.convert("RGB"), target).getbbox() is not None


def test_a_prediction_with_a_huge_log_is_read_listed_and_cancelled(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__log_bytes=9_000_000.0)
    prepared = replace(predict(step), seconds=30.0)
    made = wait(prepared, PREDICT.begin(prepared))
    assert prepared.call().artifacts.read(made["picture"]["id"]).data
    request = next(each for each in prepared.intents if each.operation == "predictions.create")
    assert isinstance(prepared.look_up(request), Found)
    assert prepared.undo(external_id=made["prediction"], output=made)["result"] == "discarded"


def test_what_the_model_writes_into_its_picture_is_not_kept(step: Claim, vendors: Vendors) -> None:
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    made = wait(prepared, prediction)
    kept = prepared.call().artifacts.read(made["picture"]["id"])
    with exchange_scope(time.monotonic() + 20, []):
        sent = api().download(api().prediction(prediction)["output"])
    assert "text prompt" in told(sent.data)
    assert set(told(kept.data)) == {"xmp", "text XML:com.adobe.xmp"}


def test_undoing_a_swap_erases_our_copy_and_both_uploads(step: Claim, vendors: Vendors) -> None:
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    made = wait(prepared, prediction)
    undone = prepared.undo(external_id=prediction, output=made)
    assert (undone["result"], undone["erased"], undone["files_deleted"]) == ("discarded", 1, 2)
    assert vendors.count("files_deleted") == 2
    with pytest.raises(Permanent):
        prepared.call().artifacts.read(made["picture"]["id"])
    again = prepared.undo(external_id=prediction, output=made)
    assert (again["erased"], again["files_deleted"]) == (0, 0)


@pytest.mark.long  # it uploads more files than are read
def test_undoing_a_swap_ends_on_an_account_with_more_files_than_are_read(
    step: Claim, vendors: Vendors
) -> None:
    prepared = replace(predict(step), seconds=60.0)
    prediction = PREDICT.begin(prepared)
    made = wait(prepared, prediction)
    with exchange_scope(time.monotonic() + 60, []):
        for number in range(2_001):
            api().upload(b"x", "x.txt", "text/plain", {"reference": f"another {number}"})
    undone = prepared.undo(external_id=prediction, output=made)
    assert (undone["result"], undone["files_deleted"]) == ("discarded", 2)
    # The newest are looked through: an upload whose answer is lost now is among them.
    lost = replace(predict(step), seconds=60.0)
    vendors.fault("replicate", "files.create", "lost_reply")
    with pytest.raises(Retryable):
        lost.run()
    assert lost.undo(status="failed")["files_deleted"] == 1


def test_a_doubled_swap_is_cancelled_and_the_files_stay_for_the_steps_own(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__hold=True)
    prepared = predict(step)
    own = PREDICT.begin(prepared)
    request = next(each for each in prepared.intents if each.operation == "predictions.create")
    with exchange_scope(time.monotonic() + 5, []):
        double = api().create_prediction(request.request)["id"]
    for expected in ("canceled", "already"):
        taken = prepared.take_back(double, status="waiting")
        assert (taken["result"], taken["files_deleted"]) == (expected, 0)
    vendors.change(replicate__hold=False)
    assert wait(prepared, own)["prediction"] == own
    taken = prepared.take_back(double, status="succeeded")
    assert (taken["erased"], taken["files_deleted"]) == (0, 2)
    assert vendors.count("predictions_canceled") == 1


@pytest.mark.parametrize("shape", ["url", "list", "dict", "data"])
def test_a_picture_is_kept_in_whatever_shape_the_model_gives_it(
    step: Claim, vendors: Vendors, shape: str
) -> None:
    vendors.change(replicate__output_shape=shape)
    prepared = predict(step)
    made = wait(prepared, PREDICT.begin(prepared))
    kept = prepared.call().artifacts.read(made["picture"]["id"])
    with Image.open(io.BytesIO(kept.data)) as picture:
        picture.load()
        assert min(picture.size) > 1


def test_a_paid_prediction_without_a_picture_says_so_and_is_booked(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__output_shape="empty")
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with pytest.raises(Permanent) as caught:
        wait(prepared, prediction)
    assert caught.value.code == "output_without_picture"
    assert prepared.undo(external_id=prediction)["result"] == "discarded"


@pytest.mark.parametrize(("status", "code"), [(403, "result_refused"), (404, "result_not_found")])
def test_a_result_whose_host_refuses_it_once_is_neither_lost_nor_our_tokens_fault(
    step: Claim, vendors: Vendors, status: int, code: str
) -> None:
    vendors.fault("replicate", "delivery.get", "status", status=status)
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with pytest.raises(Retryable) as caught:
        wait(prepared, prediction)
    assert caught.value.code == code
    assert wait(prepared, prediction)["prediction"] == prediction


def test_an_aborted_prediction_has_ended_and_its_undoing_ends_too(
    step: Claim, vendors: Vendors
) -> None:
    # The SDK knows no status `aborted`: each poll raised a ValidationError, and so did the undoing.
    fault = {"error": "deadline", "as": "aborted"}
    vendors.fault("replicate", "predictions.create", "fail", **fault)
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with pytest.raises(Permanent) as caught:
        wait(prepared, prediction)
    assert caught.value.code == "prediction_aborted"
    assert prepared.undo(external_id=prediction)["result"] == "already"


def test_a_photograph_without_a_face_fails_with_the_models_words(step: Claim) -> None:
    prepared = predict(step)
    blank = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(blank, "PNG")
    given = {**prepared.given, "target": upload(prepared, blank.getvalue())}
    prepared = replace(prepared, given=given)
    prediction = PREDICT.begin(prepared)
    with pytest.raises(Permanent) as caught:
        wait(prepared, prediction)
    assert "face" in caught.value.message.lower()
    assert caught.value.code == "prediction_failed"


def test_a_stopped_prediction_costs_what_replicate_says_that_it_ran(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__duration_seconds=60.0)
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with exchange_scope(time.monotonic() + 20, []):
        while api().prediction(prediction)["status"] != "processing":
            time.sleep(0.05)
    assert prepared.undo(external_id=prediction, status="cancelled")["result"] == "canceled"
    with exchange_scope(time.monotonic() + 5, []):
        ran = api().prediction(prediction)["predict_seconds"]
    assert prepared.cost == ceil(ran * 975) > 0
    assert prepared.cost < prepared.ceiling


def test_what_the_step_has_booked_its_compensation_does_not_book(step: Claim) -> None:
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    made = wait(prepared, prediction)
    booked = prepared.cost
    prepared.undo(external_id=prediction, output=made)
    assert prepared.cost == booked > 0
    # Once a person has retried the step, its earlier prediction is an orphan.
    prepared.take_back(prediction, status="pending")
    assert prepared.cost == booked


def test_what_an_orphan_has_booked_the_compensation_of_its_step_does_not_book(step: Claim) -> None:
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with exchange_scope(time.monotonic() + 20, []):
        while api().prediction(prediction)["is_running"]:
            time.sleep(0.05)
    prepared.take_back(prediction, status="failed")
    booked = prepared.cost
    prepared.undo(external_id=prediction, status="failed", error_code="timed_out")
    assert prepared.cost == booked > 0


def test_a_prediction_whose_step_failed_before_it_waited_is_booked(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(replicate__duration_seconds=60.0)
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with exchange_scope(time.monotonic() + 20, []):
        while api().prediction(prediction)["status"] != "processing":
            time.sleep(0.05)
    prepared.undo(status="failed", error_code="unexpected")
    assert prepared.cost > 0


def test_a_lookup_reads_only_the_time_in_which_the_step_may_have_made_it(
    step: Claim, vendors: Vendors
) -> None:
    vendors.fault("replicate", "predictions.create", "lost_reply")
    prepared = predict(step)
    with pytest.raises(Unknown):
        prepared.run()
    intent = prepared.open_intent()
    # A request that was sent so long ago has made no prediction of today.
    long_ago = replace(intent, first_sent_at=intent.first_sent_at - timedelta(minutes=10))
    assert isinstance(prepared.look_up(long_ago), Never)
    a_while_ago = replace(intent, first_sent_at=intent.first_sent_at - timedelta(minutes=3))
    assert isinstance(prepared.look_up(a_while_ago), Found)


def is_removed(prediction: Json) -> bool:
    return prediction["status"] == "succeeded" and prediction["output"] is None


def test_a_result_that_was_removed_fails_for_good(step: Claim, vendors: Vendors) -> None:
    vendors.change(replicate__output_expiry_seconds=0.0)
    prepared = predict(step)
    prediction = PREDICT.begin(prepared)
    with exchange_scope(time.monotonic() + 20, []):
        while not is_removed(api().prediction(prediction)):
            time.sleep(0.05)
    with pytest.raises(Permanent) as caught:
        wait(prepared, prediction)
    assert caught.value.code == "result_expired"


def test_a_retried_swap_keeps_the_picture_of_its_own_prediction(step: Claim) -> None:
    prepared = predict(step)
    first = wait(prepared, PREDICT.begin(prepared))
    corrected = {**prepared.given, "target": upload(prepared, small("grace_hopper.jpg"))}
    again = replace(prepared.retried(), given=corrected)
    own = wait(again, PREDICT.begin(again))
    assert own["prediction"] != first["prediction"]
    assert own["sha256"] != first["sha256"]
    kept = again.call().artifacts.read(own["picture"]["id"])
    assert hashlib.sha256(kept.data).hexdigest() == own["sha256"]
    assert again.undo(external_id=own["prediction"])["erased"] == 2


def test_a_lost_upload_of_a_retried_swap_is_not_taken_for_the_earlier_one(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(**PREDICT.held)
    prepared = predict(step)
    PREDICT.begin(prepared)
    known = [each.response["id"] for each in prepared.intents if each.response]
    again = prepared.retried()
    vendors.fault("replicate", "files.create", "reset_before")
    with pytest.raises(Exception, match="no complete answer"):
        again.run()
    with exchange_scope(time.monotonic() + 5, []):
        answer = again.look_up(again.intents[-1])
    assert isinstance(answer, Found)
    assert answer.response["id"] not in known
    assert vendors.count("files") == 3


def test_an_upload_whose_reply_was_lost_is_found(step: Claim, vendors: Vendors) -> None:
    prepared = predict(step)
    vendors.fault("replicate", "files.create", "lost_reply")
    with pytest.raises(Exception, match="no complete answer"):
        prepared.run()
    assert vendors.count("files") == 1
    intent = prepared.intents[0]
    assert isinstance(prepared.look_up(intent), Found)
    assert vendors.count("files") == 1


@pytest.mark.parametrize("is_version", [False, True])
def test_a_model_or_version_that_has_ended_starts_nothing_and_ends_what_runs(
    step: Claim, vendors: Vendors, *, is_version: bool
) -> None:
    running, new = predict(step), predict(step)
    prediction = PREDICT.begin(running)
    name = ReplicateSettings.current().face_swap_model
    model = f"{name}:{api().model(name).version}" if is_version else name
    current.keep_end("replicate", End(model, current.today(), "acme/other-face-swap"))
    current.forget()
    with pytest.raises(Permanent, match="choose acme/other-face-swap") as caught:
        new.run()
    assert caught.value.code == "model_ended"
    assert vendors.count("predictions") == 1
    assert wait(running, prediction)["prediction"] == prediction
