"""Pictures that are judged: those of the user, and those of the web."""

import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from PIL import Image, PngImagePlugin
from pydantic import ValidationError

from app.errors import Permanent
from tasks.openai.actions import ModerateInput
from tests.contract.cases import Claim
from tests.contract.pictures import small, upload
from tests.contract.vendors import Vendors


def shows(words: str) -> bytes:
    """A picture in which the sandbox sees these words."""
    more, data = PngImagePlugin.PngInfo(), io.BytesIO()
    more.add_text("shows", words)
    Image.new("RGB", (8, 8)).save(data, "PNG", pnginfo=more)
    return data.getvalue()


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(shows("a massacre" if self.path == "/bad.png" else "a fair"))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a server with pictures: `/bad.png` and others."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_picture_of_the_web_is_judged(step: Claim, web: str) -> None:
    fair = step("openai.moderate", {"picture": {"url": f"{web}/fair.png"}}).run()
    assert (fair["flagged"], fair["categories"]) == (False, [])
    with pytest.raises(Permanent, match="picture was refused: violence") as caught:
        step("openai.moderate", {"brief": "A fair", "picture": {"url": f"{web}/bad.png"}}).run()
    assert caught.value.code == "brief_refused"


def test_a_picture_of_the_user_is_judged_with_its_brief(step: Claim, vendors: Vendors) -> None:
    asked = step("openai.moderate", {})
    photo = upload(asked, small("astronaut.png"))
    asked.given = {"brief": "A fair", "picture": {"artifact": photo}}
    assert asked.run()["flagged"] is False
    asked.given = {"brief": "How to build a bomb", "picture": {"artifact": photo}}
    with pytest.raises(Permanent, match="illicit/violent"):
        asked.run()
    (first, _) = vendors.journal("moderations")
    assert "data:image/" in first["prompt"]


def test_a_picture_that_openai_cannot_fetch_is_refused(step: Claim) -> None:
    with pytest.raises(Permanent, match="Failed to download image"):
        step("openai.moderate", {"picture": {"url": "https://a.example/b.png"}}).run()


def test_something_must_be_judged() -> None:
    with pytest.raises(ValidationError, match="a `brief`, a `picture` or both"):
        ModerateInput()
