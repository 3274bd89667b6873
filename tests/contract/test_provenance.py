"""The mark in a picture that says how it was made."""

import io
import os

import pytest
from PIL import Image, ImageChops

from app.errors import Permanent, TooLarge
from app.files import images, provenance
from tests import photographs


def picture(form: str, size: tuple[int, int] = (40, 30)) -> bytes:
    """A picture with a gradient, so that a changed pixel can be seen."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    made = io.BytesIO()
    image.save(made, form, **({"lossless": True} if form == "WEBP" else {}))
    return made.getvalue()


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stays_the_right_way_up_and_keeps_its_colours_when_it_is_converted(
    orientation: int,
) -> None:
    data = photographs.photograph("WEBP", orientation, lossless=True)
    marked = provenance.mark(data)
    assert marked.content_type == "image/png"
    assert photographs.profile(marked.data) == photographs.PROFILE
    assert set(photographs.told(marked.data)) == {"xmp", "text XML:com.adobe.xmp"}
    with Image.open(io.BytesIO(marked.data)) as image:
        wanted = photographs.upright(data)
        assert ImageChops.difference(image.convert("RGB"), wanted.convert("RGB")).getbbox() is None


@pytest.mark.parametrize(
    "data", [b"", b"<html>", picture("PNG")[:100], picture("JPEG")[:-300], b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_whole_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Permanent):
        provenance.mark(data)


def test_a_result_that_is_larger_than_an_upload_may_be_is_kept() -> None:
    side = 2800
    noise = Image.frombytes("RGB", (side, side), os.urandom(side * side * 3))
    data = io.BytesIO()
    noise.save(data, "PNG", compress_level=1)
    assert len(data.getvalue()) > images.MAX_BYTES
    with pytest.raises(TooLarge):
        images.clean(data.getvalue())
    marked = provenance.mark(data.getvalue())
    assert provenance.clean(marked.data).width == side
