"""Pictures lose their metadata and keep their pixels, their colours and their right way up."""

import io
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from app.errors import InvalidInput, TooLarge
from app.files import images, provenance
from app.files.parts import MOST_PARTS
from tests import photographs
from tests.photographs import (
    FLIPPED,
    FORMATS,
    TURNED,
    photograph,
    png_chunk,
    profile,
    told,
    upright,
)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures of the same size, from 0 to 255."""
    assert one.size == other.size
    between = ImageChops.difference(one.convert("RGBA"), other.convert("RGBA"))
    return max(ImageStat.Stat(between).mean)


def opened(data: bytes) -> Image.Image:
    """A decoded picture, which is not turned."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of an image."""
    made = io.BytesIO()
    image.save(made, form, **options)
    return made.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_told_but_pixels_and_colour_profile(form: str) -> None:
    data = photograph(form)
    assert {"exif", "xmp"} <= set(told(data))
    picture = images.clean(data)
    assert told(picture.data) == []
    assert profile(picture.data) == photographs.PROFILE
    assert difference(opened(picture.data), opened(data)) == 0
    assert images.clean(picture.data) == picture


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 97}])
def test_the_compressed_data_of_an_upright_jpeg_are_copied(options: dict[str, Any]) -> None:
    plain = saved(photographs.scene(), "JPEG", **options)
    picture = images.clean(photograph("JPEG", **options))
    kept = picture.data.replace(_profile_segment(picture.data), b"")
    assert kept == plain


def _profile_segment(data: bytes) -> bytes:
    place = data.index(b"\xff\xe2")
    return data[place : place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", FORMATS)
def test_the_orientation_is_applied(form: str, orientation: int) -> None:
    data = photograph(form, orientation)
    picture = images.clean(data)
    assert told(picture.data) == []
    assert profile(picture.data) == photographs.PROFILE
    made, wanted = opened(picture.data), upright(data)
    assert (picture.width, picture.height) == made.size == wanted.size
    assert difference(made, wanted) <= (0 if form == "PNG" else 1.5)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("orientation", [FLIPPED, TURNED])
def test_a_turned_jpeg_loses_little_and_does_not_grow(subsampling: str, orientation: int) -> None:
    with Image.open(photographs.PORTRAIT) as image:
        data = photograph("JPEG", orientation, image.convert("RGB"), subsampling=subsampling)
    picture = images.clean(data)
    assert difference(opened(picture.data), upright(data)) < 1
    assert len(picture.data) < 1.1 * len(data)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_a_turned_png_keeps_every_pixel_of_every_kind(mode: str) -> None:
    plain = Image.linear_gradient("L").resize((31, 17))
    image = plain.point(lambda value: value * 200, "I").convert("I;16") if mode == "I;16" else (
        plain.convert("RGB").convert(mode)
    )  # fmt: skip
    if mode in ("LA", "RGBA"):
        image.putalpha(plain)
    data = saved(image, "PNG", exif=photographs.block(TURNED))
    made, wanted = opened(images.clean(data).data), upright(data)
    assert made.mode == wanted.mode
    assert made.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("is_lossless", [True, False])
def test_a_webp_that_is_transparent_or_without_loss_is_turned_without_loss(
    is_lossless: bool,
) -> None:
    image = photographs.scene()
    if not is_lossless:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = photograph("WEBP", TURNED, image, lossless=is_lossless)
    picture = images.clean(data)
    assert picture.content_type == "image/png"
    assert opened(picture.data).tobytes() == upright(data).tobytes()
    assert profile(picture.data) == photographs.PROFILE


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, TURNED])
def test_grey_and_printers_jpegs_keep_their_colours(mode: str, orientation: int) -> None:
    image = photographs.scene().convert(mode)
    data = saved(image, "JPEG", exif=photographs.block(orientation), quality=95)
    made, wanted = opened(images.clean(data).data), upright(data)
    assert made.mode == mode
    assert difference(made.convert("RGB"), wanted.convert("RGB")) < 1.5


@pytest.mark.parametrize("orientation", [1, TURNED])
@pytest.mark.parametrize("kind", photographs.large_chunks())
def test_a_large_profile_or_text_does_not_make_a_png_damaged(kind: str, orientation: int) -> None:
    chunk = photographs.large_chunks()[kind]
    plain = saved(photographs.scene(), "PNG", exif=photographs.block(orientation))
    data = photographs.in_png(plain, chunk)
    for made in (images.clean(data).data, provenance.mark(data).data):
        assert (chunk in made) is (kind == "profile")


def test_a_damaged_profile_is_refused() -> None:
    chunk = bytearray(png_chunk(b"iCCP", b"p\x00\x00" + zlib.compress(photographs.PROFILE)))
    chunk[40] ^= 1
    with pytest.raises(InvalidInput) as caught:
        images.clean(photographs.in_png(saved(photographs.scene(), "PNG"), bytes(chunk)))
    assert caught.value.code == "image_damaged"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_photograph_is_refused(form: str, share: float) -> None:
    whole = images.clean(photograph(form)).data
    with pytest.raises(InvalidInput) as caught:
        images.clean(whole[: int(len(whole) * share)])
    assert caught.value.code in ("image_damaged", "not_an_image")


def test_an_animated_png_is_refused_though_its_frames_would_be_dropped() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidInput) as caught:
        images.clean(data)
    assert caught.value.code == "image_animated"


def test_an_exif_block_of_many_large_entries_costs_nothing() -> None:
    size = 4_000_000
    entries = b"".join(struct.pack(">HHII", 0x9000 + n, 7, size, 8) for n in range(2000))
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + struct.pack(">H", 2000) + entries
    data = saved(photographs.scene(), "PNG")
    picture = images.clean(photographs.in_png(data, png_chunk(b"eXIf", tiff.ljust(size + 8))))
    assert picture.data == data


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_many_small_parts_is_refused_at_once(form: str) -> None:
    whole = saved(photographs.scene(), form)
    count = MOST_PARTS + 1
    if form == "WEBP":
        body = whole[8:] + b"note\x00\x00\x00\x00" * count
        data = whole[:4] + struct.pack("<I", len(body)) + body
    elif form == "PNG":
        data = photographs.in_png(whole, png_chunk(b"teXt", b"") * count)
    else:
        data = whole[:2] + b"\xff\xfe\x00\x02" * count + whole[2:]
    with pytest.raises(InvalidInput) as caught:
        images.clean(data)
    assert caught.value.code == "image_damaged"


def _with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan, of all blocks but few bytes, is repeated."""
    whole = saved(Image.new("L", (2000, 2000), 128), "JPEG", progressive=True)
    place = whole.rindex(b"\xff\xda")
    last = whole[place:-2]
    return whole[:place] + last * (count - whole.count(b"\xff\xda") + 1) + whole[-2:]


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded() -> None:
    picture = images.clean(_with_scans(100))
    assert (picture.width, picture.height) == (2000, 2000)
    began = time.process_time()
    with pytest.raises(InvalidInput) as caught:
        images.clean(_with_scans(8000))
    assert time.process_time() - began < 1
    assert caught.value.code == "image_too_complex"
    assert "100 scans" in caught.value.message


def test_arithmetic_coding_is_refused() -> None:
    whole = saved(photographs.scene(), "JPEG", progressive=True)
    with pytest.raises(InvalidInput) as caught:
        images.clean(whole.replace(b"\xff\xc2", b"\xff\xca"))
    assert caught.value.code == "image_too_complex"


def test_a_png_of_very_many_rows_is_refused() -> None:
    with pytest.raises(TooLarge) as caught:
        images.clean(saved(Image.new("1", (1, 65_536)), "PNG"))
    assert caught.value.code == "side_too_long"
    assert images.clean(saved(Image.new("1", (1, 65_535)), "PNG")).height == 65_535


_WHOLE = [photograph(form, orientation) for form in FORMATS for orientation in (1, TURNED)]


@settings(deadline=None)
@given(
    st.sampled_from(_WHOLE),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=6)), max_size=4),
)
def test_a_file_is_either_refused_or_made_clean(
    data: bytes, changes: list[tuple[float, bytes]]
) -> None:
    broken = bytearray(data)
    for share, put in changes:
        place = int(share * len(broken))
        broken[place : place + len(put)] = put
    try:
        picture = images.clean(bytes(broken))
    except (InvalidInput, TooLarge):
        return
    assert images.clean(picture.data) == picture
    assert not [each for each in told(picture.data) if each.startswith(("exif", "xmp", "t"))]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", [1, TURNED])
def test_a_marked_picture_bears_our_mark_alone(form: str, orientation: int) -> None:
    data = photograph(form, orientation, lossless=True) if form == "WEBP" else (
        photograph(form, orientation)
    )  # fmt: skip
    marked = provenance.mark(data)
    assert provenance.DIGITAL_SOURCE_TYPE.encode() in marked.data
    assert set(told(marked.data)) <= {"xmp", "text XML:com.adobe.xmp"}
    assert profile(marked.data) == photographs.PROFILE
    assert difference(opened(marked.data), upright(data)) < 1.5
    assert provenance.clean(marked.data).data == marked.data
    assert provenance.mark(marked.data) == marked
    assert told(images.clean(marked.data).data) == []
