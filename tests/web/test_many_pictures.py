"""Many uploads at the same time hold few threads and little memory, and stop no other user."""

import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests

from app.files import images
from app.files.decoders import Turn
from tests.photographs import png_chunk
from tests.web.conftest import Caller, picture


@pytest.fixture
def taken() -> Iterator[ExitStack]:
    """All decoders of this process are taken, until the test closes this."""
    with ExitStack() as held:
        for _ in range(images._decoders._free):
            held.enter_context(images._decoders.one(Turn("others")))
        yield held


def _upload(server: str, caller: Caller) -> requests.Response:
    address = f"{server}/v1/artifacts"
    return requests.post(address, data=picture(), headers=caller.headers, timeout=20)


def test_a_user_whose_uploads_wait_is_told_to_come_again_and_another_is_not(
    server: str, caller: Caller, stranger: Caller, taken: ExitStack
) -> None:
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(_upload, server, caller)
        _await_waiting(1)
        refused = _upload(server, caller)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert refused.json()["code"] == "decoders_busy"
        other = pool.submit(_upload, server, stranger)
        _await_waiting(2)
        taken.close()
        assert waiting.result().status_code == 201
        assert other.result().status_code == 201


def _await_waiting(number: int) -> None:
    pause = threading.Event()
    for _ in range(400):
        if len(images._decoders._waiting) == number:
            return
        pause.wait(0.01)
    pytest.fail(f"there are not {number} uploads that wait for a decoder")


@pytest.fixture
def threads(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual number of threads."""
    monkeypatch.setenv("WEB_THREADS", "32")


@pytest.mark.long
@pytest.mark.usefixtures("threads")
def test_many_large_pictures_leave_little_memory_behind(
    gunicorn: str, caller: Caller, stranger: Caller
) -> None:
    data = _large_png()
    _store(gunicorn, caller, data)
    before = _children_megabytes()
    with ThreadPoolExecutor(16) as pool:
        flood = [pool.submit(_store, gunicorn, caller, data) for _ in range(48)]
        while not all(each.done() for each in flood):
            began = time.monotonic()
            assert requests.get(f"{gunicorn}/healthz", timeout=5).ok
            _store(gunicorn, stranger, picture())
            assert time.monotonic() - began < 10
        for each in flood:
            each.result()
    after = _children_megabytes()
    assert after - before < 100, (before, after)


def _large_png() -> bytes:
    """40 megapixels in colour."""
    width, height = 8000, 5000
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(3 * width + 1) * height, 1)
    chunks = png_chunk(b"IHDR", head), png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _store(url: str, caller: Caller, data: bytes) -> None:
    """Upload a picture; come again as long as the server says so."""
    address = f"{url}/v1/artifacts"
    for _ in range(200):
        answer = requests.post(address, data=data, headers=caller.headers, timeout=60)
        if answer.status_code != 503:
            break
        assert answer.headers["Retry-After"] == "2"
        time.sleep(0.5)
    assert answer.status_code == 201, answer.text


def _children_megabytes() -> float:
    """The resident memory of this process's children and of theirs."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    pages = 0
    for pid in family - {os.getpid()}:
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"gunicorn" in command or b"app.aside" in command:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
