"""Photographs: judged by content, kept without metadata, shown to their owner only."""

import hashlib
import io
import struct
import time
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import requests
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from app.errors import Permanent
from app.files import artifacts, provenance
from app.files.old_uploads import erase_old_uploads
from app.settings import Settings
from tests import photographs
from tests.web.conftest import Caller, change, picture


def _upload(client: FlaskClient, caller: Caller, data: bytes, name: str = "me.jpg") -> TestResponse:
    form = {"file": (io.BytesIO(data), name)}
    return client.post("/v1/artifacts", data=form, headers=caller.headers)


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_comes_back_as_it_was_sent(client: FlaskClient, caller: Caller, kind: str) -> None:
    data = picture(kind)
    answer = _upload(client, caller, data, "photo.bin")
    assert answer.status_code == 201
    facts = answer.json
    assert facts is not None
    assert facts["content_type"] == f"image/{kind.lower()}"
    assert (facts["width"], facts["height"], facts["size"]) == (40, 30, len(data))
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()
    back = client.get(answer.headers["Location"], headers=caller.headers)
    assert back.data == data
    assert back.content_type == f"image/{kind.lower()}"
    assert back.headers["X-Content-Type-Options"] == "nosniff"


def test_a_raw_body_is_taken_and_its_type_not_believed(client: FlaskClient, caller: Caller) -> None:
    data = picture("WEBP")
    answer = client.post(
        "/v1/artifacts", data=data, content_type="image/png", headers=caller.headers
    )
    assert answer.json is not None
    assert answer.json["content_type"] == "image/webp"
    assert answer.json["name"] == "upload.webp"


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("form", photographs.FORMATS)
def test_a_photograph_is_kept_upright_and_tells_no_place_or_person(
    client: FlaskClient, caller: Caller, form: str, orientation: int
) -> None:
    data = photographs.photograph(form, orientation)
    answer = _upload(client, caller, data)
    facts = answer.json
    assert facts is not None
    address = urlsplit(facts["url"])
    own = client.get(answer.headers["Location"], headers=caller.headers).data
    assert client.get(f"{address.path}?{address.query}").data == own
    assert photographs.told(own) == []
    assert photographs.profile(own) == photographs.PROFILE
    assert facts["sha256"] == hashlib.sha256(own).hexdigest()
    assert facts["size"] == len(own)
    with Image.open(io.BytesIO(own)) as image:
        assert (facts["width"], facts["height"]) == image.size
        assert image.size == photographs.upright(data).size


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "file_empty"),
        (b"GIF89a" + b"\0" * 50, 422, "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "not_an_image"),
        (b"%PDF-1.7", 422, "not_an_image"),
        (picture()[:-600], 422, "image_damaged"),
        (picture("PNG")[:-600], 422, "image_damaged"),
        (picture("WEBP")[:-600], 422, "image_damaged"),
        (_png_header(8000, 5001), 413, "too_many_pixels"),
        (_png_header(60_000, 60_000), 413, "too_many_pixels"),
        (_png_header(100, 100), 422, "image_damaged"),
    ],
    ids=[
        "empty", "gif", "svg", "pdf", "cut jpeg", "cut png", "cut webp", "40.008 megapixels",
        "bomb", "png without rows",
    ],
)  # fmt: skip
def test_what_is_no_photograph_is_refused_and_leaves_nothing(
    client: FlaskClient, caller: Caller, settings: Settings, data: bytes, status: int, code: str
) -> None:
    answer = _upload(client, caller, data)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    if status == 422:
        assert answer.json["errors"][0]["pointer"] == "/file"
    assert not settings.storage_dir.exists()


@pytest.mark.parametrize("is_form", [True, False])
@pytest.mark.parametrize("surplus", [1, 1_000_000])
def test_a_file_over_twenty_megabytes_is_413(
    server: str, caller: Caller, settings: Settings, is_form: bool, surplus: int
) -> None:
    data = picture().ljust(20 * 2**20 + surplus, b"\0")
    sent: dict[str, Any] = {"files": {"file": ("a.jpg", data)}} if is_form else {"data": data}
    answer = requests.post(f"{server}/v1/artifacts", headers=caller.headers, timeout=30, **sent)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] in {"file_too_large", "too_large"}
    assert not settings.storage_dir.exists()


def test_an_animation_is_no_photograph(client: FlaskClient, caller: Caller) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    answer = _upload(client, caller, buffer.getvalue())
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (422, "image_animated")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"picture": (io.BytesIO(picture()), "a.jpg")},
        {"file": "text"},
        {"file": (io.BytesIO(picture()), "a.jpg"), "title": "x"},
    ],
    ids=["nothing", "other name", "text", "surplus"],
)
def test_a_form_holds_exactly_one_file(
    client: FlaskClient, caller: Caller, form: dict[str, object]
) -> None:
    answer = client.post(
        "/v1/artifacts", data=form, content_type="multipart/form-data", headers=caller.headers
    )
    assert answer.status_code == 422


def test_a_name_from_outside_is_only_a_label(
    client: FlaskClient, caller: Caller, settings: Settings
) -> None:
    answer = _upload(client, caller, picture(), "../../etc/\u202epasswd\x07.jpg")
    assert answer.json is not None
    assert "/" not in answer.json["name"]
    files = [path for path in settings.storage_dir.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert answer.json["id"] in files[0].name


def test_metadata_is_json_on_request(client: FlaskClient, caller: Caller) -> None:
    address = _upload(client, caller, picture()).headers["Location"]
    for headers, query in (
        (caller.headers | {"Accept": "application/json"}, ""),
        (caller.headers, "?metadata=true"),
    ):
        answer = client.get(address + query, headers=headers)
        assert answer.json is not None
        assert answer.json["erased_at"] is None


def test_an_unchanged_picture_is_not_sent_again(client: FlaskClient, caller: Caller) -> None:
    address = _upload(client, caller, picture()).headers["Location"]
    etag = client.get(address, headers=caller.headers).headers["ETag"]
    again = client.get(address, headers=caller.headers | {"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")


def test_another_users_artifact_is_not_there(
    client: FlaskClient, caller: Caller, stranger: Caller
) -> None:
    address = _upload(client, caller, picture()).headers["Location"]
    assert client.get(address, headers=stranger.headers).status_code == 404


def test_a_signed_link_opens_without_a_key_until_it_ends(
    client: FlaskClient, caller: Caller
) -> None:
    data = picture()
    facts = _upload(client, caller, data).json
    assert facts is not None
    parts = urlsplit(facts["url"])
    link = f"{parts.path}?{parts.query}"
    assert client.get(link).data == data
    assert client.get(link.replace("expires=1", "expires=2")).status_code == 403
    assert client.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 403
    assert client.get(link.replace(facts["id"], str(uuid4()))).status_code == 403
    assert client.get(parts.path).status_code == 422
    ended = urlsplit(artifacts.link(UUID(facts["id"]), seconds=-1))
    assert client.get(f"{ended.path}?{ended.query}").status_code == 403


def test_a_full_disk_is_said_and_leaves_no_row(
    client: FlaskClient, caller: Caller, settings: Settings, tmp_path: Path
) -> None:
    settings.storage_dir.write_text("a file where the folder should be")
    answer = _upload(client, caller, picture())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    with pytest.raises(Permanent):
        artifacts.Artifacts(uuid4(), "one", caller.user_id).read(uuid4())


def test_old_uploads_go_unless_a_live_workflow_names_them(
    client: FlaskClient, caller: Caller, settings: Settings, start: Callable[..., UUID]
) -> None:
    named, free, young = (_upload(client, caller, picture()).json for _ in range(3))
    assert named is not None
    assert free is not None
    assert young is not None
    workflow_id = start()
    change(
        "SELECT mention_artifacts_v1(:id, :user, ARRAY[cast(:named AS uuid)])",
        named=named["id"],
        user=caller.user_id,
        id=workflow_id,
    )
    change(
        "UPDATE artifacts SET created_at = created_at - interval '40 days' WHERE id <> :young",
        young=young["id"],
    )
    assert erase_old_uploads(timedelta(days=30)) == 1
    assert erase_old_uploads(timedelta(days=30)) == 0
    statuses = [
        client.get(f"/v1/artifacts/{facts['id']}", headers=caller.headers).status_code
        for facts in (named, free, young)
    ]
    assert statuses == [200, 404, 200]
    kept = client.get(f"/v1/artifacts/{free['id']}?metadata=1", headers=caller.headers).json
    assert kept is not None
    assert kept["sha256"] == free["sha256"]


def test_a_replayed_write_adds_nothing(
    settings: Settings, caller: Caller, start: Callable[..., UUID]
) -> None:
    step = artifacts.Artifacts(start(), "swap[0].render", caller.user_id)
    first = step.write("result", picture("PNG"), "image/png", vendor_sha256="ab")
    again = step.write("result", picture("PNG"), "image/png")
    assert (again["id"], again["sha256"], again["vendor_sha256"]) == (
        first["id"],
        first["sha256"],
        "ab",
    )
    assert [facts["id"] for facts in step.written()] == [first["id"]]
    assert len([path for path in settings.storage_dir.rglob("*") if path.is_file()]) == 1
    assert step.read(first["id"]).sha256 == first["sha256"]


def test_what_was_erased_stays_erased(
    settings: Settings, caller: Caller, start: Callable[..., UUID]
) -> None:
    step = artifacts.Artifacts(start(), "one", caller.user_id)
    made = step.write("result", picture("PNG"), "image/png")
    undo = artifacts.Artifacts(step.workflow_id, "one~undo", caller.user_id)
    assert [undo.erase(facts["id"]) for facts in undo.written(step_key="one")] == [True]
    assert undo.erase(made["id"]) is False
    assert undo.written(step_key="one") == []
    with pytest.raises(Permanent):
        step.read(made["id"])
    with pytest.raises(Permanent):
        step.write("result", picture("PNG"), "image/png")
    assert not [path for path in settings.storage_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", photographs.large_chunks())
def test_a_large_profile_or_text_does_not_make_a_png_damaged(
    client: FlaskClient, caller: Caller, kind: str
) -> None:
    chunk = photographs.large_chunks()[kind]
    data = photographs.in_png(picture("PNG"), chunk)
    sent = caller.headers | {"Content-Type": "image/png"}
    answer = client.post("/v1/artifacts", data=data, headers=sent)
    assert answer.status_code == 201, answer.json
    back = client.get(answer.headers["Location"], headers=caller.headers).data
    assert (chunk in back) is (kind == "profile")


@pytest.mark.parametrize("form", photographs.FORMATS)
def test_a_result_is_kept_without_what_the_platform_put_into_it(
    settings: Settings, caller: Caller, start: Callable[..., UUID], form: str
) -> None:
    step = artifacts.Artifacts(start(), "one", caller.user_id)
    data = photographs.photograph(form, 6)
    made = step.write("result", data, "image/png")
    kept = step.read(made["id"])
    assert photographs.told(kept.data) == []
    assert made["sha256"] == kept.sha256 == hashlib.sha256(kept.data).hexdigest()
    assert (made["width"], made["height"]) == photographs.upright(data).size
    assert made["size"] == len(kept.data)


def test_a_result_keeps_our_own_mark(
    settings: Settings, caller: Caller, start: Callable[..., UUID]
) -> None:
    step = artifacts.Artifacts(start(), "one", caller.user_id)
    marked = provenance.mark(photographs.photograph("JPEG"))
    made = step.write("result", marked.data, marked.content_type)
    assert step.read(made["id"]).data == marked.data


def test_a_damaged_result_fails_for_good(
    settings: Settings, caller: Caller, start: Callable[..., UUID]
) -> None:
    step = artifacts.Artifacts(start(), "one", caller.user_id)
    with pytest.raises(Permanent):
        step.write("result", b"no picture", "image/png")
    assert step.write("report", b"{}", "application/json")["width"] is None


def test_a_link_ends_when_it_says(settings: Settings) -> None:
    query = urlsplit(artifacts.link(uuid4(), seconds=60)).query
    expires = int(query.split("&")[0].removeprefix("expires="))
    assert time.time() + 55 < expires < time.time() + 65
