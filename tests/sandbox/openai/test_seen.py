"""Images that are shown to a model of the imitated OpenAI, through openai.OpenAI."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.sandbox.openai.test_responses import BRIEF, MODEL, PHOTOS


def test_other_images_make_another_text_and_take_tokens(openai_client: openai.OpenAI) -> None:
    def seen(name: str) -> tuple[str, int]:
        url = f"https://a.example/{name}"
        part: Any = {"type": "input_image", "image_url": url, "detail": "auto"}
        given: Any = [{"role": "user", "content": [{"type": "input_text", "text": BRIEF}, part]}]
        made = openai_client.responses.create(model=MODEL, input=given)
        assert made.usage
        return made.output_text, made.usage.input_tokens

    texts = {name: seen(name) for name in ("a.png", "b.png", "c.png")}
    assert len({text for text, _ in texts.values()}) > 1
    assert seen("a.png") == texts["a.png"]
    assert all(tokens > 700 for _, tokens in texts.values())


def test_an_image_may_be_a_file(openai_client: openai.OpenAI) -> None:
    photo, text = PHOTOS / "grace_hopper.jpg", PHOTOS / "README.md"
    files = [openai_client.files.create(file=each, purpose="vision") for each in (photo, text)]

    def shown(file_id: str) -> Any:
        part: Any = {"type": "input_image", "file_id": file_id, "detail": "low"}
        return openai_client.responses.create(
            model=MODEL, input=[{"role": "user", "content": [part]}]
        )

    assert shown(files[0].id).usage.input_tokens > 80
    with pytest.raises(openai.BadRequestError, match="does not represent a valid image"):
        shown(files[1].id)
    openai_client.files.delete(files[0].id)
    with pytest.raises(openai.BadRequestError, match="No such File object") as caught:
        shown(files[0].id)
    assert caught.value.code == "image_file_not_found"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nowhere", "Expected a valid URL"),
        ("data:text/plain;base64,aGk=", "unsupported MIME type 'text/plain'"),
        ("data:image/png;base64,aGk=", "does not represent a valid image"),
        ("data:image/png;base64,%%", "does not represent a valid image"),
    ],
)
def test_what_is_no_image_is_refused(openai_client: openai.OpenAI, url: str, words: str) -> None:
    part: Any = {"type": "input_image", "image_url": url, "detail": "auto"}
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        openai_client.responses.create(model=MODEL, input=[{"role": "user", "content": [part]}])
    assert caught.value.param == "input[0].content[0].image_url"
