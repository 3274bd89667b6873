"""Pictures through openai.OpenAI."""

from __future__ import annotations

import base64
import io
from typing import Any

import openai
import PIL.Image
import pytest
from openai.types import ImagesResponse

from tests.sandbox.openai.media import png
from tests.sandbox.running import Sandbox

FINE, FIRST, SECOND = "gpt-image-2.5-flare", "gpt-image-1-mini", "gpt-image-2"
SMALL = "64x48"


def draw(client: openai.OpenAI, prompt: str = "A red balloon", **more: Any) -> ImagesResponse:
    asked: Any = {"model": FINE, "prompt": prompt, "size": SMALL, **more}
    found = client.images.generate(**asked)
    assert isinstance(found, ImagesResponse)
    return found


def pictures(found: ImagesResponse) -> list[PIL.Image.Image]:
    return [
        PIL.Image.open(io.BytesIO(base64.b64decode(each.b64_json or "")))
        for each in found.data or []
    ]


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_pictures_have_the_format_and_the_size_that_were_asked_for(
    openai_client: openai.OpenAI, kind: str
) -> None:
    found = draw(openai_client, output_format=kind, n=2, quality="high")
    one, two = pictures(found)
    assert (one.format, one.size) == (kind.upper(), (64, 48))
    assert one.tobytes() != two.tobytes()
    assert (found.output_format, found.size, found.quality) == (kind, SMALL, "high")


def test_same_prompt_draws_the_same_and_another_prompt_another_picture(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    first, again, other = (
        pictures(draw(openai_client, prompt))[0] for prompt in ("A fair", "A fair", "A ship")
    )
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert sandbox.books()["images"] == 3


def test_usage_grows_with_size_quality_and_number(openai_client: openai.OpenAI) -> None:
    plain = draw(openai_client, size="512x512", quality="low").usage
    large = draw(openai_client, size="1024x512", quality="low").usage
    fine = draw(openai_client, size="512x512", quality="max", n=2).usage
    assert plain
    assert large
    assert fine
    assert plain.output_tokens == 68
    assert large.output_tokens == 136
    assert fine.output_tokens > 2 * plain.output_tokens
    assert fine.total_tokens == fine.input_tokens + fine.output_tokens
    assert plain.input_tokens_details.image_tokens == 0


def test_transparent_background_is_transparent(openai_client: openai.OpenAI) -> None:
    found = draw(openai_client, background="transparent")
    assert found.background == "transparent"
    (picture,) = pictures(found)
    assert picture.mode == "RGBA"
    assert picture.getchannel("A").getextrema()[0] == 0


def test_edit_changes_only_what_the_mask_leaves_open(openai_client: openai.OpenAI) -> None:
    mask = PIL.Image.new("RGBA", (64, 48), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (32, 0, 64, 48))
    out = io.BytesIO()
    mask.save(out, "PNG")
    found = openai_client.images.edit(
        model=FINE, prompt="A sun", image=("a.png", png((9, 99, 199))),
        mask=("m.png", out.getvalue()), size=SMALL,
    )  # fmt: skip
    assert isinstance(found, ImagesResponse)
    (picture,) = pictures(found)
    assert {picture.getpixel((x, 24)) for x in range(32)} == {(9, 99, 199)}
    assert {picture.getpixel((x, 24)) for x in range(32, 64)} != {(9, 99, 199)}
    assert found.usage is not None
    assert found.usage.input_tokens_details.image_tokens == 4


def test_several_pictures_are_edited_and_auto_keeps_the_shape_of_the_first(
    openai_client: openai.OpenAI,
) -> None:
    found = openai_client.images.edit(
        model=FIRST, prompt="Both", quality="low", output_format="webp",
        image=[("a.png", png("red", (150, 100))), ("b.png", png("blue"))],
    )  # fmt: skip
    assert isinstance(found, ImagesResponse)
    assert (found.size, found.output_format) == ("1536x1024", "webp")
    (picture,) = pictures(found)
    assert picture.size == (1536, 1024)


def test_markup_is_for_the_models_that_know_it(openai_client: openai.OpenAI) -> None:
    given: Any = {
        "prompt": "Here", "image": ("a.png", png("red")), "size": SMALL,
        "markup": ("m.png", png((0, 255, 0, 99), mode="RGBA")),
    }  # fmt: skip
    assert openai_client.images.edit(model=FINE, **given).usage
    with pytest.raises(openai.BadRequestError, match="'markup' is not supported"):
        openai_client.images.edit(model=SECOND, **given)


@pytest.mark.parametrize("partials", [0, 3])
def test_streamed_pictures_become_clear(openai_client: openai.OpenAI, partials: int) -> None:
    stream = openai_client.images.generate(
        model=FINE, prompt="A kite", size=SMALL, stream=True, partial_images=partials
    )
    events: list[Any] = list(stream)
    assert [each.type for each in events] == [
        *["image_generation.partial_image"] * partials, "image_generation.completed",
    ]  # fmt: skip
    assert [each.partial_image_index for each in events[:-1]] == list(range(partials))
    last = draw(openai_client, "A kite")
    assert events[-1].b64_json == (last.data or [])[0].b64_json
    assert last.usage is not None
    assert events[-1].usage.output_tokens == last.usage.output_tokens + 100 * partials


def test_streamed_edit_has_events_of_its_own(openai_client: openai.OpenAI) -> None:
    stream = openai_client.images.edit(
        model=FINE, prompt="A kite", image=("a.png", png("red")), size=SMALL, stream=True,
        partial_images=1,
    )  # fmt: skip
    kinds = [each.type for each in stream]
    assert kinds == ["image_edit.partial_image", "image_edit.completed"]


def test_prompt_that_is_not_allowed_is_blocked(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="rejected by the safety system") as refused:
        draw(openai_client, "how I will kill and murder them")
    assert (refused.value.code, refused.value.type) == (
        "moderation_blocked", "image_generation_user_error",
    )  # fmt: skip
    body: Any = refused.value.body
    assert body["moderation_details"] == {"moderation_stage": "input", "categories": ["violence"]}
    assert str(refused.value.request_id) in body["message"]
    assert sandbox.books()["images"] == 0
    assert draw(openai_client, "how I will kill and murder them", moderation="low").data


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"size": "100x100"}, "Width and height must both be divisible by 16"),
        ({"size": "9:16"}, "Expected WIDTHxHEIGHT"),
        ({"size": "1024x64"}, "between 1:3 and 3:1"),
        ({"size": "4096x2048"}, "maximum supported resolution is 3840x2160"),
        ({"model": FIRST, "size": "512x512"}, "'1536x1024', '1024x1536', and 'auto'"),
        ({"model": FIRST, "size": "auto", "quality": "max"}, "'medium', 'high', and 'auto'"),
        ({"n": 11}, "Expected a value <= 10"),
        ({"n": 0}, "Expected a value >= 1"),
        ({"output_format": "gif"}, "not enabled for this project"),
        ({"output_compression": 50}, "not supported for PNG"),
        ({"background": "transparent", "output_format": "jpeg"}, "not supported for JPEG"),
        ({"partial_images": 2}, "only supported when 'stream' is true"),
        ({"stream": True, "n": 2}, "'n' must be 1"),
        ({"stream": True, "partial_images": 4}, "Expected a value <= 3"),
        ({"style": "vivid"}, "Unsupported parameter: 'style'"),
        ({"response_format": "url"}, "Unsupported parameter: 'response_format'"),
        ({"prompt": ""}, "empty string"),
        ({"prompt": "x" * 32_001}, "maximum length 32000"),
        ({"model": "gpt-6-luna"}, "GPT image model"),
        ({"model": None}, "Missing required parameter: 'model'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_openais_words(
    openai_client: openai.OpenAI, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        draw(openai_client, **more)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"image": ("a.png", b"no picture")}, "Invalid image file"),
        ({"image": [("a.png", png("red"))] * 17}, "maximum length 16"),
        ({"mask": ("m.png", png("red"))}, "missing alpha channel"),
        ({"mask": ("m.png", png((0, 0, 0, 0), (9, 9), "RGBA"))}, "does not match image size"),
        ({"input_fidelity": "high"}, "'input_fidelity' is not supported"),
        ({"model": FIRST, "input_fidelity": "high"}, "Supported values are: 'low'"),
    ],
)
def test_what_cannot_be_edited_is_refused_in_openais_words(
    openai_client: openai.OpenAI, more: dict[str, Any], words: str
) -> None:
    given: Any = {"model": FINE, "prompt": "x", "image": ("a.png", png("red"))} | more
    with pytest.raises(openai.BadRequestError, match=words):
        openai_client.images.edit(**given)


def test_retired_models_and_variations_are_refused(openai_client: openai.OpenAI) -> None:
    for model in ("dall-e-3", "gpt-image-1"):
        with pytest.raises(openai.NotFoundError, match="has been deprecated"):
            draw(openai_client, model=model)
    with (
        pytest.warns(DeprecationWarning, match="deprecated"),
        pytest.raises(openai.BadRequestError, match="retired"),
    ):
        openai_client.images.create_variation(image=("a.png", png("red")))
