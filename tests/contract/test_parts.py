"""The parts of platforms that send nothing: token, page, provenance, cost, late imports."""

import doctest
import io
import subprocess
import sys

import pytest
from PIL import Image, ImageChops

import tasks.openai.actions
from app.errors import Permanent
from app.files import provenance
from tasks.agora.actions import channel_name
from tasks.agora.token import JOIN_CHANNEL, Grant, build
from tasks.openai.actions import cost
from tasks.vercel.gallery import Shown, page

# The vector of Agora's own tests (AgoraIO/Tools, AccessToken2Test, test_service_rtc).
AGORA_TOKEN = (
    "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcw"
    "Mk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj"
)


def picture(form: str, size: tuple[int, int] = (40, 30)) -> bytes:
    """A picture with a gradient, so that a changed pixel can be seen."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    made = io.BytesIO()
    image.save(made, form, **({"lossless": True} if form == "WEBP" else {}))
    return made.getvalue()


def test_the_token_is_agoras_own() -> None:
    grant = Grant(
        app_id="970CA35de60c44645bbae8a215061b33",
        channel="7d72365eb983485397e3e3f9d460bdda",
        uid=2882341273,
        issued_at=1111111,
        seconds=600,
        salt=1,
        privileges=(JOIN_CHANNEL,),
    )
    assert build(grant, "5CFd2fd1755d40ecb72977518be15d3b") == AGORA_TOKEN


def test_a_channel_is_named_by_its_step() -> None:
    names = {channel_name(reference) for reference in ("w/a", "w/b", "v/a", "w/a")}
    assert len(names) == 3
    assert all(len(name) <= 64 for name in names)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_provenance_is_added_and_no_pixel_changes(form: str) -> None:
    before = picture(form)
    marked = provenance.mark(before)
    assert provenance.DIGITAL_SOURCE_TYPE.encode() in marked.data
    with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(marked.data)) as new:
        assert new.size == old.size
        assert ImageChops.difference(new.convert("RGB"), old.convert("RGB")).getbbox() is None
        assert f"image/{(new.format or '').lower()}" == marked.content_type
        packet = new.info["xmp"]
    assert b"Iptc4xmpExt:DigitalSourceType" in packet


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_marking_twice_leaves_one_packet(form: str) -> None:
    once = provenance.mark(picture(form))
    twice = provenance.mark(once.data)
    assert twice == once


@pytest.mark.parametrize(
    "data", [b"", b"<html>", picture("PNG")[:100], picture("JPEG")[:-300], b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_whole_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Permanent):
        provenance.mark(data)


def test_the_page_escapes_what_others_wrote() -> None:
    html = page("<script>1</script>", 'a "quoted" & <b>bold</b> caption', [Shown("p/01.png", 4, 3)])
    assert "<script>" not in html
    assert "<b>" not in html
    assert "a &quot;quoted&quot; &amp; &lt;b&gt;bold&lt;/b&gt; caption" in html


def test_the_page_asks_nobody_else() -> None:
    html = page("Title", "Caption", [Shown(f"p/{n}.png", None, None) for n in range(3)])
    assert "http:" not in html
    assert "https:" not in html
    assert "//" not in html.replace("data:,", "")
    assert html.count("<figure>") == html.count("alt=") == 3


def test_cost_is_rounded_up_and_an_unknown_model_is_dear() -> None:
    assert doctest.testmod(tasks.openai.actions).failed == 0
    assert cost("gpt-4o-mini", 1, 0) == 1
    assert cost("gpt-4o-mini-2024-07-18", 1000, 0) < cost("gpt-4o-2024-08-06", 1000, 0)
    assert cost("something-new", 10, 10) == cost("gpt-4o", 10, 10)


def test_actions_import_no_sdk() -> None:
    code = (
        "import sys, tasks; tasks.actions();"
        "print([n for n in ('stripe', 'openai', 'replicate', 'requests') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_action_is_of_its_platform_and_named_once() -> None:
    actions = tasks.actions()
    assert len(actions) == sum(len(p.actions) for p in tasks.PLATFORMS) + 3
    assert {each.platform for each in actions.values()} == {
        *(platform.name for platform in tasks.PLATFORMS),
        "control",
    }
