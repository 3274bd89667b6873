"""What only `openai.image` does: pictures that are drawn, edited and kept, and what they cost."""

import base64
import io
import json
import os
from collections.abc import Callable, Iterator

import pytest
from PIL import Image
from pydantic import ValidationError

from app import db
from app.errors import Permanent, Unavailable, Unknown
from app.files import provenance
from app.platform import Found, Json, Lost
from app.settings import Settings
from tasks.openai.images import costs
from tasks.openai.images.drawing import lost_cost
from tasks.openai.images.inputs import ImageInput, request_of
from tests.contract.cases import Claim
from tests.contract.fuzz.mutations import Answer
from tests.contract.fuzz.relay import Relay, relay
from tests.contract.openai.cases import DRAWN, image
from tests.contract.openai.test_responses import spent
from tests.contract.pictures import out_of_reach, small, upload
from tests.contract.reuse.asking import ended, reuses
from tests.contract.stage import Step
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel


def content(step: Step, kept: Json) -> bytes:
    return step.call().artifacts.read(kept["id"]).data


def lose_record(step: Step) -> None:
    """Let the worker have died before it recorded the answer to the step's call."""
    db.rows(
        "UPDATE intents SET resolution = NULL, response = NULL WHERE workflow_id = %s RETURNING 1",
        (step.claim.workflow_id,),
    )


def test_pictures_are_kept_with_their_mark_and_paid_by_their_tokens(
    step: Claim, vendors: Vendors
) -> None:
    asked = step("openai.image", DRAWN | {"n": 2, "output_format": "jpeg"})
    made = asked.run()
    first, second = made["pictures"]
    assert made["picture"] == first
    assert (first["content_type"], first["width"], first["height"]) == ("image/jpeg", 256, 256)
    assert first["sha256"] != second["sha256"] != second["vendor_sha256"]
    assert provenance.DIGITAL_SOURCE_TYPE.encode() in content(asked, first)
    assert (made["model"], made["quality"]) == ("gpt-image-2.5-flare", "medium")
    assert made["tokens"]["output_image"] > 0
    assert asked.cost == spent(asked) == costs.cost(made["model"], made["tokens"]).micro_usd
    assert 0 < asked.cost <= asked.ceiling
    assert vendors.count("images") == 1


def test_the_record_of_a_call_has_no_picture(step: Claim) -> None:
    asked = image(step)
    made = asked.run()
    (intent,) = asked.intents
    assert len(json.dumps(intent.response)) < 2_000 < made["picture"]["size"]
    assert asked.run() == made


def test_what_was_kept_before_its_record_was_lost_is_found_and_not_paid_again(
    step: Claim, vendors: Vendors
) -> None:
    asked = step("openai.image", DRAWN | {"n": 2})
    made, paid = asked.run(), spent(asked)
    lose_record(asked)
    with pytest.raises(Unknown):
        asked.run()
    answer = asked.look_up()
    assert isinstance(answer, Found)
    asked.adopt(answer)
    again = asked.run()
    assert [each["id"] for each in again["pictures"]] == [each["id"] for each in made["pictures"]]
    assert (spent(asked), vendors.count("images")) == (paid, 1)
    assert again["tokens"] is None


def test_a_call_of_which_a_picture_is_missing_is_lost(step: Claim) -> None:
    asked = step("openai.image", DRAWN | {"n": 2})
    made = asked.run()
    lose_record(asked)
    asked.call().artifacts.erase(made["pictures"][1]["id"])
    assert isinstance(asked.look_up(), Lost)


def test_pictures_of_ours_are_edited_where_the_mask_is_transparent(
    step: Claim, vendors: Vendors
) -> None:
    asked = image(step)
    asked.seconds = 20.0
    photo = upload(asked, square("RGB", (200, 30, 30)))
    mask = upload(asked, square("RGBA", (0, 0, 0, 255), clear=(0, 0, 128, 256)))
    asked.given = DRAWN | {"images": [photo], "mask": mask}
    made = asked.run()
    assert made["tokens"]["input_image"] > 0
    with Image.open(io.BytesIO(content(asked, made["picture"]))) as found:
        assert found.convert("RGB").getpixel((200, 100)) == (200, 30, 30)
        left = found.convert("RGB").crop((0, 0, 128, 256))
        assert len(left.getcolors(maxcolors=100_000) or []) > 1
    (intent,) = asked.intents
    assert (intent.operation, intent.request["images"]) == ("images.edit", [photo])


def square(mode: str, colour: tuple[int, ...], clear: tuple[int, ...] = ()) -> bytes:
    """A PNG of 256 x 256 pixels of one colour, with a transparent box."""
    made, data = Image.new(mode, (256, 256), colour), io.BytesIO()
    if clear:
        made.paste((0, 0, 0, 0), (clear[0], clear[1], clear[2], clear[3]))
    made.save(data, "PNG")
    return data.getvalue()


def test_what_is_no_picture_of_the_user_is_not_sent(step: Claim, vendors: Vendors) -> None:
    other = "01890a5d-ac96-774b-bcce-b302099a8057"
    with pytest.raises(Permanent, match="no artifact"):
        step("openai.image", DRAWN | {"images": [other]}).run()
    for name in ("images", "mask"):
        asked = image(step)
        sound = asked.call().artifacts.write("a.mp3", b"ID3", "audio/mpeg")["id"]
        photo = upload(asked, small("astronaut.png"))
        asked.given = DRAWN | {"images": [photo]} | {name: [sound] if name == "images" else sound}
        with pytest.raises(Permanent, match="no PNG") as caught:
            asked.run()
        assert caught.value.code == "no_picture"
    assert vendors.count("images") == 0


def test_a_picture_that_cannot_be_read_now_leaves_no_call_that_may_be_paid(
    step: Claim, vendors: Vendors
) -> None:
    asked = image(step)
    asked.seconds = 20.0
    photo = upload(asked, square("RGB", (200, 30, 30)))
    asked.given = DRAWN | {"images": [photo]}
    with out_of_reach(photo):
        with pytest.raises(Unavailable, match="directory"):
            asked.run()
        assert asked.intents == ()
    made = asked.run()
    with out_of_reach(photo):
        assert asked.run() == made
    assert vendors.count("images") == 1


def test_refused_content_is_told_apart_and_costs_nothing(step: Claim, vendors: Vendors) -> None:
    with pytest.raises(Permanent, match="safety system") as caught:
        step("openai.image", DRAWN | {"prompt": "a massacre"}).run()
    assert caught.value.code == "refused"
    with pytest.raises(Permanent, match="1024x1536") as invalid:
        step("openai.image", DRAWN | {"model": "gpt-image-1.5"}).run()
    assert invalid.value.code == "invalid_value"
    assert vendors.count("images") == 0


def test_a_model_that_has_ended_is_refused_with_its_successor(step: Claim) -> None:
    with pytest.raises(Permanent, match="gpt-image-2") as caught:
        step("openai.image", DRAWN | {"model": "dall-e-3"}).run()
    assert caught.value.code == "model_ended"


@pytest.fixture
def between(step: Claim, configure: Callable[..., Settings], vendors: Vendors) -> Iterator[Relay]:
    """A server that answers instead of OpenAI."""
    with relay() as made:
        configure(OPENAI_BASE_URL=f"{made.url}/v1", DATABASE_URL=os.environ["DATABASE_URL"])
        yield made


def answer(*pictures: bytes, **more: object) -> bytes:
    told = [{"b64_json": base64.b64encode(each).decode()} for each in pictures]
    body = json.dumps({"created": 1, "data": told, **more}).encode()
    return Answer(200, {"Content-Type": "application/json"}, body).sent()


def test_a_picture_that_cannot_be_read_is_paid_and_left_out(step: Claim, between: Relay) -> None:
    usage = {"input_tokens": 10, "output_tokens": 1_000, "total_tokens": 1_010}
    between.instead = answer(b"no picture", square("RGB", (1, 2, 3)), usage=usage)
    asked = step("openai.image", DRAWN | {"n": 2})
    assert len(asked.run()["pictures"]) == 1
    assert spent(asked) == asked.cost > 0
    between.instead = answer(b"no picture", usage=usage)
    failed = image(step)
    for _ in range(2):
        with pytest.raises(Permanent) as caught:
            failed.run()
        assert caught.value.code == "not_an_image"
    assert spent(failed) == asked.cost
    assert failed.intents[0].resolution == "accepted"


def test_without_its_tokens_a_call_is_booked_at_its_most(step: Claim, between: Relay) -> None:
    between.instead = answer(square("RGB", (1, 2, 3)))
    asked = image(step)
    assert asked.run()["tokens"] is None
    assert spent(asked) == asked.cost == asked.ceiling


@pytest.mark.long
def test_an_answer_that_is_too_large_is_paid_once_and_fails(step: Claim, between: Relay) -> None:
    between.instead = answer(bytes(73 * 2**20))
    asked = image(step)
    asked.seconds = 60.0
    for _ in range(2):
        with pytest.raises(Permanent, match="larger than") as caught:
            asked.run()
        assert caught.value.code == "answer_too_large"
    assert spent(asked) == asked.cost == asked.ceiling


def test_only_a_step_that_asks_for_it_takes_known_pictures(
    kernel: Kernel, vendors: Vendors
) -> None:
    def drawn(**more: object) -> Json:
        return {"step": "draw", "action": "openai.image", "with": {**DRAWN, **more}}

    first = ended(kernel, drawn(cache=True))
    assert reuses(kernel, ended(kernel, drawn())) == []
    taken = ended(kernel, drawn(cache=True))
    assert len(reuses(kernel, taken)) == 1
    mine, theirs = (kernel.step(each, "draw")["output"]["picture"] for each in (first, taken))
    assert mine["id"] != theirs["id"]
    assert vendors.count("images") == 2


def test_a_picture_that_is_lost_each_time_is_made_three_times_and_booked_so(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.fault("openai", "images.generate", "lost_reply", count=9)
    failed = ended(kernel, {"step": "draw", "action": "openai.image", "with": DRAWN})
    assert kernel.step(failed, "draw")["error_code"] == "always_lost"
    assert vendors.count("images") == 3
    assert kernel.workflow(failed)["spent"] == 3 * lost_cost(request_of(ImageInput(**DRAWN)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": "large"}, "WIDTHxHEIGHT"),
        ({"size": "1000x1000"}, "multiples of 16"),
        ({"size": "3840x1024"}, "at most 3 times"),
        ({"size": "3840x3840"}, "3840x2160"),
        ({"size": "2048x2048", "n": 5}, "17 megapixels"),
        ({"mask": "a"}, "first of the `images`"),
        ({"images": ["a"], "moderation": "low"}, "new pictures"),
        ({"background": "transparent", "output_format": "jpeg"}, "transparent background"),
        ({"output_format": "webp"}, "output_format"),
        ({"n": 11}, "less than or equal to 10"),
    ],
)
def test_an_input_that_cannot_be_sent_is_refused(wrong: Json, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ImageInput(**DRAWN | wrong)


@pytest.mark.parametrize(
    ("size", "quality", "told"),
    [
        # By OpenAI's tables of tokens for gpt-image-1.5, and its prices for gpt-image-2.
        ("1024x1024", "low", 272),
        ("1536x1024", "medium", 1_767),
        ("1024x1024", "high", 7_033),
        ("1024x1536", "high", 6_240),
        ("256x256", "high", 4_160),
    ],
)
def test_a_ceiling_covers_the_tokens_that_openai_states(size: str, quality: str, told: int) -> None:
    assert told <= costs.drawn({"model": "m", "n": 1, "size": size, "quality": quality})
    double = costs.drawn({"model": "m", "n": 2, "size": size, "quality": quality})
    assert double == 2 * costs.drawn({"model": "m", "n": 1, "size": size, "quality": quality})
