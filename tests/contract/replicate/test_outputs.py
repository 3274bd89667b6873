"""What a prediction has made is kept: of any type and size, one file after the other."""

import base64
import hashlib
import io
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.files.decoding import MAX_PIXELS
from app.outbound.http import exchange_scope
from app.platform import Json
from app.settings import Settings
from ops.sandbox.replicate import gallery
from tasks.replicate import outputs
from tasks.replicate.client import ReplicateApi, api
from tasks.replicate.outputs.adopting import MOST_INLINE
from tasks.replicate.outputs.kinds import kind_of
from tasks.replicate.settings import ReplicateSettings
from tests.contract.cases import Claim
from tests.contract.pictures import small, upload
from tests.contract.replicate.cases import HELLO, PREDICT, ask
from tests.contract.stage import ATTEMPT_SECONDS, Step
from tests.contract.vendors import Vendors


def picture(form: str, **more: Any) -> bytes:
    """A small picture."""
    made = io.BytesIO()
    Image.linear_gradient("L").resize((8, 8)).convert("RGB").save(made, form, **more)
    return made.getvalue()


GIF, AVIF, PNG = picture("GIF"), picture("AVIF"), picture("PNG")
MP4 = b"\x00\x00\x00\x20ftypisom" + b"\x00" * 50
SVG = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"


def uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def seen(output: object, prediction: str = "p1") -> Json:
    """An ended prediction as the client reads it."""
    return {"id": prediction, "status": "succeeded", "output": output, "model": "a/b",
            "version": "v1"}  # fmt: skip


@pytest.fixture
def prepared(step: Claim, vendors: Vendors) -> Step:
    """A claimed step, whose output the tests make."""
    return step("replicate.predict", {})


def adopted(prepared: Step, output: object) -> Json:
    with exchange_scope(time.monotonic() + 20, []):
        return outputs.adopt(prepared.call(), api(), seen(output), is_text=False)


def content(call: Call, kept: Json) -> bytes:
    return call.artifacts.read(kept["id"]).data


@pytest.mark.parametrize(
    ("data", "kind"),
    [(GIF, "image/gif"), (AVIF, "image/avif"), (SVG, "image/svg+xml"), (PNG[:60], "image/png")],
    ids=["gif", "avif", "svg", "damaged"],
)
def test_a_picture_that_cannot_be_marked_is_kept_and_says_so(
    prepared: Step, data: bytes, kind: str
) -> None:
    output = adopted(prepared, [uri(data), uri(PNG)])
    unmarked, marked = output["files"]
    assert (unmarked["is_marked"], unmarked["content_type"]) == (False, kind)
    assert content(prepared.call(), unmarked) == data
    assert unmarked["sha256"] == unmarked["vendor_sha256"] == hashlib.sha256(data).hexdigest()
    assert marked["is_marked"] is True
    for kept in (unmarked, marked):
        assert kept["made_by"] == {"model": "a/b", "version": "v1", "prediction": "p1"}
    assert output["output"] == [unmarked, marked]


def test_a_picture_of_too_many_pixels_is_kept_unmarked(prepared: Step) -> None:
    made = io.BytesIO()
    side = int(MAX_PIXELS**0.5) + 8
    Image.new("1", (side, side)).save(made, "PNG")
    (kept,) = adopted(prepared, uri(made.getvalue()))["files"]
    assert (kept["is_marked"], kept["size"]) == (False, len(made.getvalue()))


def test_a_swapped_picture_without_a_mark_is_kept_and_what_is_none_is_kept_and_refused(
    prepared: Step,
) -> None:
    with exchange_scope(time.monotonic() + 20, []):
        kept = outputs.adopt_picture(prepared.call(), api(), seen([uri(GIF)]))
        with pytest.raises(Permanent) as caught:
            outputs.adopt_picture(prepared.call(), api(), seen(uri(b"hello"), "p2"))
    assert (kept["is_marked"], content(prepared.call(), kept)) == (False, GIF)
    assert caught.value.code == "not_an_image"
    other = caught.value.detail["file"]
    assert prepared.call().artifacts.read(other).data == b"hello"


@pytest.mark.parametrize(
    ("data", "said", "kind"),
    [
        (MP4, "image/png", "video/mp4"),
        (b"hello", "image/png", "application/octet-stream"),
        (b"<script>", "text/html", "application/octet-stream"),
        (b"a,b", "text/csv", "text/csv"),
        (b"RIFF\x00\x00\x00\x00WAVE", "", "audio/wav"),
    ],
)
def test_a_file_has_the_type_of_its_first_bytes(data: bytes, said: str, kind: str) -> None:
    assert kind_of(data, said) == kind


def test_a_large_output_is_a_file(prepared: Step) -> None:
    words = ["word " * 1000] * (MOST_INLINE // 4000)
    for is_text, kind, whole in ((True, "text/plain", "".join(words).encode()),
                                 (False, "application/json", None)):  # fmt: skip
        with exchange_scope(time.monotonic() + 20, []):
            given = seen(words, f"p {is_text}")
            output = outputs.adopt(prepared.call(), api(), given, is_text=is_text)
        assert (output["output"], output["text"], output["files"]) == (None, None, [])
        kept = output["output_file"]
        assert kept["content_type"] == kind
        if whole is not None:
            assert content(prepared.call(), kept) == whole


def test_a_data_uri_is_no_part_of_what_is_recorded(prepared: Step) -> None:
    output = adopted(prepared, {"sound": uri(b"RIFF\x00\x00\x00\x00WAVE" * 9, "audio/wav")})
    assert "base64" not in str(output)
    assert output["output"]["sound"]["content_type"] == "audio/wav"
    assert output["output"]["sound"]["is_marked"] is None


def test_what_looks_like_a_data_uri_and_is_none_stays_a_text(prepared: Step) -> None:
    text = "data:text/plain;base64,no base64 at all"
    output = adopted(prepared, [text, uri(PNG)])
    assert output["output"][0] == text
    assert len(output["files"]) == 1


def test_an_attempt_goes_on_with_the_first_file_that_is_missing(
    step: Claim, vendors: Vendors
) -> None:
    """The first attempt has no time for a second file; the others fetch only what is missing."""
    prepared = variants(step, 3)
    prediction = PREDICT.begin(prepared)
    until_ended(prediction)
    vendors.fault("replicate", "delivery.get", "slow", seconds=2.6)
    prepared.seconds = 4.0
    with pytest.raises(Retryable) as caught:
        prepared.run(prediction)
    prepared.seconds = ATTEMPT_SECONDS
    assert (caught.value.code, caught.value.is_try) == ("output_in_parts", False)
    (first,) = prepared.call().artifacts.written()
    output = prepared.run(prediction)
    assert [each.operation for each in prepared.calls].count("output.download") == 2
    assert len(output["files"]) == 3
    assert output["files"][0]["id"] == first["id"]
    # A replay after a crash fetches nothing, and gives the same.
    again = prepared.run(prediction)
    assert [each.operation for each in prepared.calls].count("output.download") == 0
    assert [each["id"] for each in again["files"]] == [each["id"] for each in output["files"]]
    for each in output["files"]:
        assert each["made_by"]["model"] == gallery.VARIANTS.full_name
        assert each["made_by"]["version"] == gallery.VARIANTS.version
        assert each["made_by"]["prediction"] == prediction


def test_a_file_that_is_too_large_is_left_and_the_others_are_kept(
    step: Claim, vendors: Vendors
) -> None:
    prepared = variants(step, 2)
    prediction = PREDICT.begin(prepared)
    until_ended(prediction)
    reader = ReplicateApi(ReplicateSettings.current(), most_bytes=2_000)
    with exchange_scope(time.monotonic() + 20, []):
        first, second = api().prediction(prediction)["output"]
        given = seen([first, uri(PNG)])
        output = outputs.adopt(prepared.call(), reader, given, is_text=False)
    (left,) = output["left"]
    assert left["url"] == first != second
    assert "larger than" in left["reason"]
    assert output["output"] == [first, *output["files"]]
    assert len(output["files"]) == 1


def variants(step: Claim, count: int) -> Step:
    """A claimed step that makes so many variants of a photograph."""
    prepared = step("replicate.predict", {})
    photo = upload(prepared, small("astronaut.png"))
    name = f"{gallery.VARIANTS.full_name}:{gallery.VARIANTS.version}"
    given = {"model": name, "input": {"count": count}, "files": {"image": photo}}
    return replace(prepared, given=given)


def until_ended(prediction: str) -> None:
    until = time.monotonic() + 20
    while ask("GET", f"/predictions/{prediction}").json()["status"] != "succeeded":
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.long  # its predictions are seconds apart
def test_a_list_whose_pages_are_too_large_is_read_in_parts_of_its_time(
    settings: Settings, vendors: Vendors
) -> None:
    """Outputs as data URIs make a page of a hundred predictions larger than what is read."""
    replicate = ReplicateApi(ReplicateSettings.current(), most_bytes=9_000)
    made = []
    with exchange_scope(time.monotonic() + 60, []):
        for number in range(6):
            asked = HELLO | {"input": {"text": "x" * 2000}, "number": number}
            made.append(api().create_prediction(asked)["id"])
            time.sleep(1.1)
        for prediction in made:
            until_ended(prediction)
        since, until = datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC)
        found = [each["id"] for each in replicate.predictions(since, until)]
        assert found == made[::-1]
        small_reader = ReplicateApi(ReplicateSettings.current(), most_bytes=1_000)
        with pytest.raises(Permanent) as caught:
            list(small_reader.predictions(since, until))
    assert caught.value.code == "answer_too_large"
