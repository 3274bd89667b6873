"""A neighbour's workflows go on beside pictures that are dear to decode or are never read."""

import io
import itertools
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
from PIL import Image

from app.identity import keys
from ops.laptop.profile import Profile
from tests.e2e.instance import running_instance
from tests.e2e.stack import Stack
from tests.forgetting import forget

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

RUNS = 200
THREADS = 8
MOST_SECONDS = 0.1
SIZE = (8000, 5000)


def _saved(form: str, **options: object) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", SIZE, "#804020").save(made, form, **options)
    return made.getvalue()


def _many_scans() -> bytes:
    whole = _saved("JPEG", progressive=True)
    place = whole.rindex(b"\xff\xda")
    return whole[:place] + whole[place:-2] * 400 + whole[-2:]


PICTURES: dict[str, Callable[[], bytes]] = {
    "a progressive JPEG of 400 scans": _many_scans,
    "a PNG of 40 megapixels": lambda: _saved("PNG"),
    "a WebP of 40 megapixels": lambda: _saved("WEBP"),
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An instance of this module's own."""
    with running_instance(tmp_path_factory.mktemp("pictures")) as stack:
        yield stack


@pytest.fixture(scope="module")
def alone(instance: Stack) -> float:
    """The neighbour's p95 while nobody else sends anything, in seconds."""
    _p95(instance, 20)
    return _p95(instance, RUNS)


@pytest.mark.parametrize("name", PICTURES)
def test_a_neighbours_workflows_go_on_beside_uploads(
    instance: Stack, alone: float, name: str
) -> None:
    data, sender = PICTURES[name](), _headers(instance.profile)

    def upload() -> None:
        address = f"{instance.profile.url}/v1/artifacts"
        answer = requests.post(address, data=data, headers=sender, timeout=60)
        assert answer.status_code in (201, 422, 503), answer.text
        if answer.status_code == 503:
            time.sleep(float(answer.headers["Retry-After"]))

    with _again_and_again(upload):
        beside = _p95(instance, RUNS)
    print(f"{name}: p95 {beside * 1000:.0f} ms, alone {alone * 1000:.0f} ms")
    assert beside <= max(2 * alone, MOST_SECONDS)


def test_a_neighbours_workflows_go_on_beside_downloads_that_are_not_read(
    instance: Stack, alone: float
) -> None:
    made = io.BytesIO()
    Image.new("RGB", (2000, 1500)).save(made, "PNG", compress_level=0)
    sender = _headers(instance.profile)
    address = f"{instance.profile.url}/v1/artifacts"
    sent = requests.post(address, data=made.getvalue(), headers=sender, timeout=60)
    head = f"GET {sent.headers['Location']} HTTP/1.1\r\nHost: a\r\n"
    request = f"{head}Authorization: {sender['Authorization']}\r\n\r\n".encode()
    place = ("127.0.0.1", instance.profile.ports.web)
    numbers = itertools.count(2)

    def do_not_read() -> None:
        source = (f"127.0.1.{next(numbers) % 200 + 2}", 0)
        with socket.create_connection(place, 10, source_address=source) as connection:
            connection.sendall(request)
            time.sleep(3)

    with _again_and_again(do_not_read, threads=40):
        beside = _p95(instance, RUNS)
    print(f"not read: p95 {beside * 1000:.0f} ms, alone {alone * 1000:.0f} ms")
    assert beside <= max(2 * alone, MOST_SECONDS)


@contextmanager
def _again_and_again(do: Callable[[], None], threads: int = THREADS) -> Iterator[None]:
    """Do something in threads during the block, at least once."""
    stopping = threading.Event()

    def run() -> None:
        do()
        while not stopping.is_set():
            do()

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(run) for _ in range(threads)]
        time.sleep(2)
        try:
            yield
        finally:
            stopping.set()
        for each in running:
            each.result()


def _p95(stack: Stack, runs: int) -> float:
    """The seconds from a start of a workflow without effects to its end, for 95 % of them."""
    seconds = sorted(_run(stack) for _ in range(runs))
    return seconds[math.ceil(0.95 * runs) - 1]


def _run(stack: Stack) -> float:
    began = time.monotonic()
    body = {"type": "noop_chain", "input": {}}
    workflow = stack.api("POST", "/v1/workflows", json=body).json()["id"]
    while stack.api("GET", f"/v1/workflows/{workflow}").json()["status"] != "succeeded":
        assert time.monotonic() - began < 60
        time.sleep(0.005)
    return time.monotonic() - began


def _headers(profile: Profile) -> dict[str, str]:
    """What authenticates another user."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in profile.environment().items():
            patched.setenv(name, value)
        forget()
        try:
            return {"Authorization": f"Bearer {keys.create_key('eve@example.com')[1]}"}
        finally:
            forget()
