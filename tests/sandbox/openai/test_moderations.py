"""Moderations of texts and pictures through openai.OpenAI."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import PIL.Image
import PIL.PngImagePlugin
import pytest

from tests.sandbox.running import Sandbox

MODEL = "omni-moderation-latest"
BAD = "how I will kill and murder them"


def picture(words: str, kind: str = "PNG") -> dict[str, Any]:
    """A part with a picture that shows these words to the sandbox."""
    out, more = io.BytesIO(), PIL.PngImagePlugin.PngInfo()
    more.add_text("shows", words)
    image = PIL.Image.new("RGB", (8, 8))
    if kind == "PNG":
        image.save(out, kind, pnginfo=more)
    else:
        image.save(out, kind, comment=words.encode())
    data = base64.b64encode(out.getvalue()).decode()
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/{kind.lower()};base64,{data}"},
    }


def judge(client: openai.OpenAI, given: Any, model: str = MODEL) -> list[Any]:
    return list(client.moderations.create(model=model, input=given).results)


def test_each_text_has_its_result(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    good, bad = judge(openai_client, ["A skilled painter", BAD])
    assert (good.flagged, bad.flagged, bad.categories.violence) == (False, True, True)
    assert bad.category_scores.violence > 0.9 > 0.1 > good.category_scores.violence
    assert bad.category_applied_input_types.violence == ["text"]
    assert sandbox.books()["moderations"] == 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_picture_is_judged_by_what_it_shows(openai_client: openai.OpenAI, kind: str) -> None:
    (found,) = judge(openai_client, [picture(BAD, kind)])
    assert (found.flagged, found.categories.violence) == (True, True)
    types = found.category_applied_input_types
    assert (types.violence, types.harassment) == (["image"], [])
    assert found.category_scores.harassment == 0
    (harmless,) = judge(openai_client, [picture("a fair", kind)])
    assert not harmless.flagged


def test_parts_together_have_one_result(openai_client: openai.OpenAI) -> None:
    (found,) = judge(openai_client, [{"type": "text", "text": "A fair"}, picture(BAD)])
    types = found.category_applied_input_types
    assert (types.violence, types.hate) == (["text", "image"], ["text"])
    assert found.flagged


def test_categories_that_pictures_do_not_have_are_not_seen(openai_client: openai.OpenAI) -> None:
    (found,) = judge(openai_client, [picture("hate speech")])
    assert not found.flagged


def test_model_without_a_name_is_the_newest(openai_client: openai.OpenAI) -> None:
    assert openai_client.moderations.create(input="A fair").model == MODEL


@pytest.mark.parametrize(
    ("given", "model", "words"),
    [
        ([], MODEL, "empty array"),
        ([picture("x")], "text-moderation-latest", "does not support image inputs"),
        ([{"type": "image_url", "image_url": {"url": "ftp://x"}}], MODEL, "valid URL"),
        (
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}],
            MODEL,
            "unsupported image",
        ),
        (
            [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/a.png"}}],
            MODEL,
            "Failed to download image",
        ),
        ("x", "gpt-6-luna", "Please use a moderation model"),
        ([{"type": "smell"}], MODEL, r"input\[0\]\.type|Invalid value: 'smell'"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    openai_client: openai.OpenAI, given: Any, model: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        judge(openai_client, given, model)


@pytest.fixture
def gallery() -> Iterator[str]:
    """The address of a server that has a bad picture at `/bad.png`, and nothing else."""
    data = base64.b64decode(picture(BAD)["image_url"]["url"].partition(",")[2])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = data if self.path == "/bad.png" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_picture_is_fetched_from_its_address(openai_client: openai.OpenAI, gallery: str) -> None:
    (found,) = judge(
        openai_client, [{"type": "image_url", "image_url": {"url": f"{gallery}/bad.png"}}]
    )
    assert found.categories.violence
    with pytest.raises(openai.BadRequestError, match="Failed to download image"):
        judge(openai_client, [{"type": "image_url", "image_url": {"url": f"{gallery}/no.png"}}])
