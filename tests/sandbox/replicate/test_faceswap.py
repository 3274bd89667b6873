"""What a swapped face must be, measured on the pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ops.sandbox import photos
from ops.sandbox.replicate import faceswap


def colour_distance(one: faceswap.Image, two: faceswap.Image) -> faceswap.Floats:
    labs = [cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB) for image in (one, two)]
    return np.asarray(np.linalg.norm(labs[0] - labs[1], axis=2), np.float32)


@pytest.mark.parametrize("is_astronaut_the_source", [True, False])
def test_swap_changes_the_face_and_nothing_else(
    portraits: tuple[bytes, bytes], is_astronaut_the_source: bool
) -> None:
    source, target = portraits if is_astronaut_the_source else portraits[::-1]
    made = faceswap.swap(source, target)
    result, before = faceswap.decode(made.png, "result"), faceswap.decode(target, "target")
    outside, inside = made.mask == 0, made.mask > 0
    assert np.array_equal(result[outside], before[outside])
    assert colour_distance(result, before)[inside].mean() >= 5
    assert len(faceswap.find_faces(result)) == 1
    box = faceswap.find_faces(before)[0]
    rows, columns = np.nonzero(inside)
    assert box[0] <= columns.min()
    assert columns.max() <= box[0] + box[2]
    assert rows.min() >= box[1] + 0.05 * box[3]
    assert 0.15 < inside.sum() / (box[2] * box[3]) < 0.85


def test_picture_without_a_face_is_named(portraits: tuple[bytes, bytes]) -> None:
    plain = cv2.imencode(".png", np.full((200, 200, 3), 90, np.uint8))[1].tobytes()
    with pytest.raises(faceswap.NoFace, match="No face detected in target_image"):
        faceswap.swap(portraits[0], plain)
    with pytest.raises(faceswap.NoFace, match="No face detected in source_image"):
        faceswap.swap(plain, portraits[1])


def test_a_picture_that_takes_long_to_decode_is_refused() -> None:
    small = cv2.imencode(".jpg", np.zeros((64, 64), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    many_scans = small[1].tobytes().replace(b"\xff\xda", b"\xff\xda" * 300)
    large = cv2.imencode(".png", np.zeros((7500, 7500), np.uint8))[1].tobytes()
    for data in (many_scans, large):
        with pytest.raises(ValueError, match="target_image is too large or has too many scans"):
            faceswap.decode(data, "target_image")


def test_targets_differ_show_one_face_and_are_the_same_again() -> None:
    made = photos.targets(6)
    assert len({data for _, data in made}) == 6
    assert len({name for name, _ in made}) == 6
    for name, data in made:
        assert len(faceswap.find_faces(faceswap.decode(data, name))) == 1
    photos.target.cache_clear()
    assert photos.targets(2) == made[:2]


@pytest.mark.parametrize("count", [0, 51])
def test_targets_are_between_1_and_50(count: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 50"):
        photos.targets(count)
