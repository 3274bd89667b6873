"""Pictures that are judged: those of the user, and those of the web."""

import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from PIL import Image, PngImagePlugin
from pydantic import ValidationError

from app import db
from app.errors import Permanent, Unavailable
from tasks.openai.actions import ModerateInput
from tasks.openai.pictures import most_tokens
from tests.contract.cases import Claim
from tests.contract.pictures import out_of_reach, small, upload
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


def test_a_picture_that_cannot_be_read_now_leaves_no_call_that_may_be_paid(
    step: Claim, vendors: Vendors
) -> None:
    asked = step("openai.respond", {"input": "What is this?", "max_output_tokens": 500})
    photo = upload(asked, small("astronaut.png"))
    asked.given |= {"images": [{"artifact": photo}]}
    with out_of_reach(photo):
        with pytest.raises(Unavailable, match="directory"):
            asked.run()
        assert asked.intents == ()
    made = asked.run()
    with out_of_reach(photo):
        assert asked.run() == made
    assert vendors.count("captions") == 1


def test_pictures_that_are_too_large_together_are_not_sent(step: Claim) -> None:
    asked = step("openai.respond", {"input": "What is this?"})
    photos = [upload(asked, small(name)) for name in ("astronaut.png", "grace_hopper.jpg")]
    db.rows("UPDATE artifacts SET size = 20 * 1024 * 1024 RETURNING 1", ())
    asked.given |= {"images": [{"artifact": each} for each in [*photos, photos[0]]]}
    db.rows("UPDATE artifacts SET size = size + 1 WHERE id = %s RETURNING 1", (photos[0],))
    with pytest.raises(Permanent, match="more than 40 MiB together") as caught:
        asked.run()
    assert (caught.value.code, asked.intents) == ("pictures_too_large", ())
    asked.given |= {"images": [{"artifact": photos[0]}]}
    with pytest.raises(Permanent, match="at most 20 MiB"):
        asked.run()


@pytest.mark.parametrize("model", ["gpt-6-luna", "gpt-6-sol", "gpt-4o-mini", "gpt-5.4-nano"])
@pytest.mark.parametrize("detail", ["auto", "low", "high"])
def test_no_picture_costs_more_than_was_reserved(step: Claim, model: str, detail: str) -> None:
    asked = step("openai.respond", {"input": "What is this?", "max_output_tokens": 500})
    wide = io.BytesIO()
    Image.new("L", (6_000, 2_300)).save(wide, "PNG")
    photo = upload(asked, wide.getvalue())
    asked.given |= {"model": model, "images": [{"artifact": photo, "detail": detail}]}
    made = asked.run()
    assert made["tokens"]["input"] > 100
    assert 0 < asked.cost <= asked.ceiling


@pytest.mark.parametrize(
    ("model", "detail", "tokens"),
    [
        # The vendor's examples, and the bounds that it tells.
        ("gpt-4o-mini", "high", 2_833 + 8 * 5_667),
        ("gpt-4o", "high", 85 + 8 * 170),
        ("gpt-5-nano", "high", 4_096 * 2.46),
        ("gpt-6.1-sol", "high", 2_500 * 1.2),
        ("gpt-5.6-terra", "original", 30_000 * 1.2),
        ("gpt-6-sol", "auto", 30_000 * 1.2),
        ("something-new", "high", 4_096 * 2.46),
    ],
)
def test_a_picture_is_reserved_at_the_most_that_its_model_reads(
    model: str, detail: str, tokens: float
) -> None:
    assert tokens <= most_tokens(model, detail)
