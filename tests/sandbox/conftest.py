"""One sandbox for the folder; each test begins with empty books and no faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import requests
import stripe
from replicate.client import Client

from tests.sandbox.running import Catcher, Sandbox


@pytest.fixture(scope="session")
def catcher() -> Iterator[Catcher]:
    found = Catcher()
    yield found
    found.close()


@pytest.fixture(scope="session")
def _process(tmp_path_factory: pytest.TempPathFactory, catcher: Catcher) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"), hook_base=catcher.url)
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(_process: Sandbox, catcher: Catcher) -> Sandbox:
    _process.control("POST", "/reset")
    _process.settings(replicate__duration_seconds=0.2, replicate__start_seconds=0.05)
    catcher.got.clear()
    catcher.statuses.clear()
    return _process


@pytest.fixture
def stripe_client(sandbox: Sandbox) -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient(timeout=10)
    yield stripe.StripeClient(
        sandbox.env("STRIPE_API_KEY"),
        base_addresses={"api": sandbox.env("STRIPE_BASE_URL")},
        max_network_retries=0,
        http_client=http,
    )
    http.close()  # type: ignore[no-untyped-call]  # untyped in stripe


@pytest.fixture
def openai_client(sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        api_key=sandbox.env("OPENAI_API_KEY"),
        base_url=sandbox.env("OPENAI_BASE_URL"),
        max_retries=0,
    ) as client:
        yield client


@pytest.fixture
def replicate_client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(
        api_token=sandbox.env("REPLICATE_API_TOKEN"), base_url=sandbox.env("REPLICATE_BASE_URL")
    )
    yield client
    client._client.close()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def portraits() -> tuple[bytes, bytes]:
    folder = Path(__file__).parents[2] / "ops" / "sandbox" / "photos"
    return (folder / "astronaut.png").read_bytes(), (folder / "grace_hopper.jpg").read_bytes()
